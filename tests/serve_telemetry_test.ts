/**
 * What a collector of OpenTelemetry gets: the caller's trace goes on, with a span for every stage.
 */
import assert from "node:assert/strict";
import { nano, shapes, withServer } from "./serve_kit.ts";

interface Span {
  readonly name: string;
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly attributes: readonly Attribute[];
}

interface Attribute {
  readonly key: string;
  readonly value: Readonly<Record<string, unknown>>;
}

interface LogRecord {
  readonly severityText: string;
  readonly body: { readonly stringValue: string };
  readonly attributes: readonly Attribute[];
}

/** Attributes by their names. */
const named = (attributes: readonly Attribute[]): Record<string, unknown> =>
  Object.fromEntries(
    attributes.map(({ key, value }) => [key, Object.values(value)[0]]),
  );

Deno.test("traces, metrics and logs are sent; a request is part of its caller's trace", async () => {
  const spans: Span[] = [];
  const paths = new Set<string>();
  const metrics = new Set<string>();
  const logs: LogRecord[] = [];
  const stop = new AbortController();
  const collector = Deno.serve({
    port: 0,
    hostname: "127.0.0.1",
    signal: stop.signal,
    onListen: () => {},
  }, async (request) => {
    const path = new URL(request.url).pathname;
    paths.add(path);
    const body = await request.json();
    for (const { scopeSpans } of body.resourceSpans ?? []) {
      for (const scope of scopeSpans) spans.push(...scope.spans);
    }
    for (const { scopeLogs } of body.resourceLogs ?? []) {
      for (const scope of scopeLogs) logs.push(...scope.logRecords);
    }
    for (const { scopeMetrics } of body.resourceMetrics ?? []) {
      for (const scope of scopeMetrics) {
        for (const { name } of scope.metrics) metrics.add(name);
      }
    }
    return Response.json({});
  });
  const trace = "0af7651916cd43dd8448eb211c80319c";
  const parent = "b7ad6b7169203331";
  try {
    await withServer({
      models: [{ dir: nano }],
      otlp: `http://127.0.0.1:${collector.addr.port}`,
      apiKeys: ["a-secret-key"],
    }, async ({ url, post }) => {
      await (await fetch(`${url}/health`)).body?.cancel();
      const response = await post("/v1/chat/completions", {
        model: "nano",
        messages: [{
          role: "user",
          content: [
            { type: "image_url", image_url: { url: shapes } },
            { type: "text", text: "What is it?" },
          ],
        }],
        max_tokens: 4,
      }, {
        traceparent: `00-${trace}-${parent}-01`,
        authorization: "Bearer a-secret-key",
      });
      assert.equal(response.status, 200);
      await response.body?.cancel();
    });
    // The end of the server has sent what was left.
    assert.ok(paths.has("/v1/traces") && paths.has("/v1/metrics"));
    const ours = spans.filter(({ traceId }) => traceId === trace);
    const names = ours.map(({ name }) => name);
    for (
      const stage of [
        "pipeline converse",
        ...["load", "tile", "vision-encode", "project", "prefill", "decode"],
      ]
    ) assert.ok(names.includes(stage), `${stage} of ${names}`);
    // One root of ours, under the caller's span; every other span hangs on one of ours.
    const ids = new Set(ours.map(({ spanId }) => spanId));
    const roots = ours.filter(({ parentSpanId }) => !ids.has(parentSpanId!));
    assert.deepEqual(roots.map(({ parentSpanId }) => parentSpanId), [parent]);
    assert.ok(metrics.has("tessera_generation_tokens_total"));
    // Spans say what they are of: the route, the model, the tokens.
    const root = ours.find(({ spanId }) => spanId === roots[0]!.spanId)!;
    assert.equal(root.name, "POST /v1/chat/completions");
    assert.equal(named(root.attributes)["server.address"], "127.0.0.1");
    const of = (name: string) =>
      named(ours.find((span) => span.name === name)!.attributes);
    assert.equal(of("pipeline converse")["tessera.model"], "nano");
    const generation = of("internvl.generate");
    assert.equal(generation["gen_ai.usage.output_tokens"], 4);
    assert.ok(Number(generation["gen_ai.usage.input_tokens"]) > 16);
    // The access log is sent, too; probes that go well are not in it.
    const [entry, ...others] = logs.filter(({ body }) =>
      / 200, /.test(body.stringValue)
    );
    assert.deepEqual(others, []);
    assert.match(
      entry!.body.stringValue,
      /^POST \/v1\/chat\/completions 200, .* nano, \d+ \+ 4 tokens, key-/,
    );
    assert.equal(entry!.severityText, "Info");
    const facts = named(entry!.attributes);
    assert.equal(facts["http.response.status_code"], 200);
    assert.equal(
      facts["tessera.request"],
      of("pipeline converse")["tessera.request"],
    );
    assert.ok(!JSON.stringify(logs).includes("a-secret-key"));
    assert.ok(!JSON.stringify(spans).includes("a-secret-key"));
  } finally {
    stop.abort();
    await collector.finished;
  }
});
