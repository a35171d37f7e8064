// The vendors' clients for node against the embedded server at argv[2], which ends in no slash.
// Prints a line of JSON for each check: {client, wire, check, error} (error "" where it passed).
import assert from "node:assert/strict";
import OpenAI from "openai";
import Anthropic from "@anthropic-ai/sdk";
import { GoogleGenAI, FunctionCallingConfigMode } from "@google/genai";

const url = process.argv[2];
const HELLO = /^You asked: "Hi, naïve ☃ 𝄞"\n.*no tools\.$/s;
const HI = "Hi, naïve ☃ 𝄞";
const ASK = "Call get_weather for Oslo, 7 days";
const ARGUMENTS = { city: "Oslo", days: 7 };
const SCHEMA = {
  type: "object",
  properties: { city: { type: "string" }, days: { type: "integer" } },
  required: ["city", "days"],
};
const DESCRIPTION = "The weather of a city";

const openai = new OpenAI({ baseURL: `${url}/openai/v1`, apiKey: "k", maxRetries: 0 });
const claude = new Anthropic({ baseURL: `${url}/anthropic`, apiKey: "k", maxRetries: 0 });
const gemini = new GoogleGenAI({ apiKey: "k", httpOptions: { baseUrl: `${url}/gemini` } });

const all = async (stream) => {
  const out = [];
  for await (const one of stream) out.push(one);
  return out;
};
const fails = async (promise, status) => {
  try {
    await promise;
  } catch (error) {
    assert.equal(error.status, status, String(error));
    return;
  }
  assert.fail("no error");
};

// --- openai, Chat Completions ---

const chatTools = [
  {
    type: "function",
    function: { name: "get_weather", description: DESCRIPTION, parameters: SCHEMA, strict: false },
  },
];
const chat = {
  async whole() {
    const reply = await openai.chat.completions.create({
      model: "offline",
      messages: [{ role: "user", content: HI }],
    });
    assert.match(reply.choices[0].message.content, HELLO);
    assert.equal(reply.choices[0].finish_reason, "stop");
    assert.ok(reply.usage.prompt_tokens > 0 && reply.usage.completion_tokens > 0);
  },
  async streamed() {
    const stream = openai.chat.completions.stream({
      model: "offline",
      messages: [{ role: "user", content: HI }],
      stream_options: { include_usage: true },
    });
    assert.match(await stream.finalContent(), HELLO);
    assert.ok((await stream.totalUsage()).total_tokens > 0);
  },
  async tools() {
    const messages = [{ role: "user", content: ASK }];
    const reply = await openai.chat.completions.create({
      model: "offline",
      messages,
      tools: chatTools,
      tool_choice: "required",
    });
    const { message, finish_reason } = reply.choices[0];
    assert.equal(finish_reason, "tool_calls");
    assert.deepEqual(JSON.parse(message.tool_calls[0].function.arguments), ARGUMENTS);
    messages.push(message, {
      role: "tool",
      tool_call_id: message.tool_calls[0].id,
      content: "cold",
    });
    const after = await openai.chat.completions.create({
      model: "offline",
      messages,
      tools: chatTools,
    });
    assert.equal(after.choices[0].message.content, "get_weather answered: cold");
  },
  async "tools streamed"() {
    // The SDK runs the function itself and goes on.
    const runner = openai.chat.completions.runTools({
      model: "offline",
      stream: true,
      messages: [{ role: "user", content: ASK }],
      tools: [
        {
          type: "function",
          function: {
            name: "get_weather",
            description: DESCRIPTION,
            parameters: SCHEMA,
            parse: JSON.parse,
            function: (given) => (assert.deepEqual(given, ARGUMENTS), "cold"),
          },
        },
      ],
    });
    assert.equal(await runner.finalContent(), "get_weather answered: cold");
  },
  async errors() {
    const bad = [{ role: "tool", content: "x", tool_call_id: "c" }];
    await fails(openai.chat.completions.create({ model: "offline", messages: bad }), 400);
  },
};

// --- openai, Responses ---

const responseTools = [
  { type: "function", name: "get_weather", description: DESCRIPTION, parameters: SCHEMA, strict: false },
];
const responses = {
  async whole() {
    const reply = await openai.responses.create({ model: "offline", input: HI });
    assert.match(reply.output_text, HELLO);
    assert.equal(reply.status, "completed");
    assert.ok(reply.usage.input_tokens > 0);
  },
  async streamed() {
    const stream = openai.responses.stream({ model: "offline", input: HI });
    const seen = (await all(stream)).map((event) => event.type);
    assert.ok(seen.includes("response.output_text.delta"));
    assert.equal(seen.at(-1), "response.completed");
    assert.match((await stream.finalResponse()).output_text, HELLO);
  },
  async tools() {
    const input = [{ role: "user", content: ASK }];
    const reply = await openai.responses.create({
      model: "offline",
      input,
      tools: responseTools,
      tool_choice: { type: "function", name: "get_weather" },
    });
    const call = reply.output.find((item) => item.type === "function_call");
    assert.deepEqual(JSON.parse(call.arguments), ARGUMENTS);
    input.push(...reply.output, {
      type: "function_call_output",
      call_id: call.call_id,
      output: "cold",
    });
    const after = await openai.responses.create({ model: "offline", input, tools: responseTools });
    assert.equal(after.output_text, "get_weather answered: cold");
  },
  async "tools streamed"() {
    const stream = openai.responses.stream({ model: "offline", input: ASK, tools: responseTools });
    const { output } = await stream.finalResponse();
    const call = output.find((item) => item.type === "function_call");
    assert.deepEqual(JSON.parse(call.arguments), ARGUMENTS);
  },
  async thinking() {
    const stream = openai.responses.stream({
      model: "gpt-5.1",
      input: HI,
      reasoning: { effort: "low", summary: "auto" },
    });
    const { output } = await stream.finalResponse();
    assert.deepEqual(output.map((item) => item.type), ["reasoning", "message"]);
    assert.match((output[0].summary[0] ?? output[0].content[0]).text, /^The user says/);
  },
  async counting() {
    const count = await openai.responses.inputTokens.count({ model: "offline", input: HI });
    assert.ok(count.input_tokens > 0);
  },
  async errors() {
    await fails(openai.responses.create({ model: "offline", input: HI, max_output_tokens: 1 }), 400);
  },
};

// --- anthropic ---

const model = "claude-sonnet-4-6";
const claudeTools = [{ name: "get_weather", description: DESCRIPTION, input_schema: SCHEMA }];
const messages = {
  async whole() {
    const reply = await claude.messages.create({
      model,
      max_tokens: 500,
      messages: [{ role: "user", content: HI }],
    });
    assert.match(reply.content[0].text, HELLO);
    assert.equal(reply.stop_reason, "end_turn");
    assert.ok(reply.usage.input_tokens > 0);
  },
  async streamed() {
    const stream = claude.messages.stream({
      model,
      max_tokens: 500,
      messages: [{ role: "user", content: HI }],
    });
    assert.match(await stream.finalText(), HELLO);
    assert.ok((await stream.finalMessage()).usage.output_tokens > 0);
  },
  async tools() {
    const said = [{ role: "user", content: ASK }];
    const asked = { model, max_tokens: 500, tools: claudeTools };
    const reply = await claude.messages.create({
      ...asked,
      messages: said,
      tool_choice: { type: "tool", name: "get_weather" },
    });
    assert.equal(reply.stop_reason, "tool_use");
    const call = reply.content.find((block) => block.type === "tool_use");
    assert.deepEqual(call.input, ARGUMENTS);
    said.push(
      { role: "assistant", content: reply.content },
      { role: "user", content: [{ type: "tool_result", tool_use_id: call.id, content: "cold" }] },
    );
    const after = await claude.messages.create({ ...asked, messages: said });
    assert.equal(after.content[0].text, "get_weather answered: cold");
  },
  async "tools streamed"() {
    const stream = claude.messages.stream({
      model,
      max_tokens: 500,
      messages: [{ role: "user", content: ASK }],
      tools: claudeTools,
    });
    const { content } = await stream.finalMessage();
    assert.deepEqual(content.find((block) => block.type === "tool_use").input, ARGUMENTS);
  },
  async thinking() {
    const asked = {
      model,
      max_tokens: 4000,
      thinking: { type: "enabled", budget_tokens: 1024 },
    };
    const said = [{ role: "user", content: HI }];
    const reply = await claude.messages.stream({ ...asked, messages: said }).finalMessage();
    assert.deepEqual(reply.content.map((block) => block.type), ["thinking", "text"]);
    assert.ok(reply.content[0].signature);
    said.push({ role: "assistant", content: reply.content }, { role: "user", content: "More" });
    assert.equal((await claude.messages.create({ ...asked, messages: said })).type, "message");
  },
  async counting() {
    const count = await claude.messages.countTokens({
      model,
      messages: [{ role: "user", content: HI }],
    });
    assert.ok(count.input_tokens > 0);
  },
  async errors() {
    await fails(claude.messages.create({ model, max_tokens: 5, messages: [] }), 400);
  },
};

// --- google ---

const declared = [
  { functionDeclarations: [{ name: "get_weather", description: DESCRIPTION, parametersJsonSchema: SCHEMA }] },
];
const google = {
  async whole() {
    const reply = await gemini.models.generateContent({ model: "gemini-3.5-flash", contents: HI });
    assert.match(reply.text, HELLO);
    assert.equal(reply.candidates[0].finishReason, "STOP");
    assert.ok(reply.usageMetadata.promptTokenCount > 0);
  },
  async streamed() {
    const stream = await gemini.models.generateContentStream({
      model: "gemini-3.5-flash",
      contents: HI,
    });
    const pieces = await all(stream);
    assert.ok(pieces.length > 1);
    assert.match(pieces.map((piece) => piece.text ?? "").join(""), HELLO);
  },
  async tools() {
    const talk = gemini.chats.create({ model: "gemini-3.5-flash", config: { tools: declared } });
    const reply = await talk.sendMessage({
      message: ASK,
      config: {
        tools: declared,
        toolConfig: { functionCallingConfig: { mode: FunctionCallingConfigMode.ANY } },
      },
    });
    const [call] = reply.functionCalls;
    assert.deepEqual(call.args, ARGUMENTS);
    const after = await talk.sendMessage({
      message: {
        functionResponse: { id: call.id, name: call.name, response: { output: "cold" } },
      },
    });
    assert.match(after.text, /^get_weather answered: .*cold/);
  },
  async "tools streamed"() {
    const stream = await gemini.models.generateContentStream({
      model: "gemini-3.5-flash",
      contents: ASK,
      config: { tools: declared },
    });
    const calls = (await all(stream)).flatMap((piece) => piece.functionCalls ?? []);
    assert.deepEqual(calls.map((call) => call.args), [ARGUMENTS]);
  },
  async thinking() {
    const reply = await gemini.models.generateContent({
      model: "gemini-3.5-flash",
      contents: HI,
      config: { thinkingConfig: { includeThoughts: true } },
    });
    const { parts } = reply.candidates[0].content;
    assert.ok(parts[0].thought, JSON.stringify(parts));
  },
  async counting() {
    const count = await gemini.models.countTokens({ model: "gemini-3.5-flash", contents: HI });
    assert.ok(count.totalTokens > 0);
  },
  async errors() {
    const contents = [{ role: "robot", parts: [{ text: "x" }] }];
    await fails(gemini.models.generateContent({ model: "gemini-3.5-flash", contents }), 400);
  },
};

for (const [client, wire, checks] of [
  ["openai (node)", "openai", chat],
  ["openai (node)", "openai-responses", responses],
  ["anthropic (node)", "anthropic", messages],
  ["google-genai (node)", "gemini", google],
]) {
  for (const [check, run] of Object.entries(checks)) {
    let error = "";
    try {
      await run();
    } catch (e) {
      error = `${e}`.slice(0, 500) || "failed";
    }
    console.log(JSON.stringify({ client, wire, check, error }));
  }
}
