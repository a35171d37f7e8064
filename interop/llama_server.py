"""llama.cpp's HTTP server on loopback: `python llama_server.py MODEL PORT`. Needs xllamacpp."""

import sys
import time

import xllamacpp


def serve(model: str, port: int) -> None:
    params = xllamacpp.CommonParams()
    params.model.path = model
    params.hostnames = ["127.0.0.1"]
    params.port = port
    # A reply without an end takes longer to fill this than any test waits for its cancellation.
    params.n_ctx = 1 << 17
    params.n_parallel = 2
    params.cpuparams.n_threads = 1
    params.use_jinja = True
    params.endpoint_slots = True
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    while True:
        time.sleep(60)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
