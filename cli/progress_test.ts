import assert from "node:assert/strict";
import { displayWidth } from "effect/cli/CliOutput";
import {
  bar,
  barLine,
  jobsLine,
  makePainter,
  rate,
  runProgress,
} from "./progress.ts";
import { fakeEvents, fakeShell } from "./testing.ts";

Deno.test("a bar has its length at every share", () => {
  for (let percent = -10; percent <= 110; percent++) {
    assert.equal(displayWidth(bar(percent / 100, 12)), 12, `${percent} %`);
  }
  assert.equal(bar(0, 4), "····");
  assert.equal(bar(1, 4), "████");
  assert.equal(bar(0.5, 4), "██··");
});

Deno.test("a run's line follows its events", () => {
  let now = 0;
  const progress = runProgress(() => now);
  const seen: string[] = [];
  for (const event of fakeEvents()) {
    progress.observe(event);
    now += 1000;
    const line = progress.line(30);
    if (line !== seen.at(-1)) seen.push(line);
  }
  assert.deepEqual(seen, [
    "",
    "reading pictures",
    "",
    "encoding",
    "encode ████▍········ 1/3 tiles",
    "encode ████████▋···· 2/3 tiles",
    "encode █████████████ 3/3 tiles",
    "",
    "prefill ················   0 %",
    "prefill ███████▉········  50 %",
    "prefill ████████████████ 100 %",
    "answering: 1 token",
    "answering: 2 tokens, 0.5 a second",
  ]);
  assert.equal(progress.tokens(), 2);
});

Deno.test("lines fit narrow terminals", () => {
  const jobs = { done: 12, total: 3400, failed: 3, elapsedMs: 60_000 };
  assert.equal(
    jobsLine(jobs, 80),
    "batch ▏····························· 12/3,400  3 failed  12/min  4:42:20 left",
  );
  for (const columns of [8, 20, 30, 40, 60, 79]) {
    const line = jobsLine(jobs, columns);
    assert.ok(
      displayWidth(line) <= Math.max(columns, "batch 12/3,400".length),
      `${columns}: ${line}`,
    );
    assert.ok(line.includes("12/3,400"));
  }
  assert.equal(barLine("encode", 0.5, "2/4 tiles", 20), "encode 2/4 tiles");
});

Deno.test("a painter repaints one line and wipes it", () => {
  const shell = fakeShell({ terminal: true, columns: 12 });
  let now = 0;
  const painter = makePainter(shell, () => now);
  painter.paint(() => "a line much longer than that");
  assert.equal(shell.err(), "\r\x1b[Ka line muc…");
  now = 100;
  painter.paint((columns) => `${columns} cells`);
  painter.clear();
  assert.equal(shell.err(), "\r\x1b[Ka line muc…\r\x1b[K11 cells\r\x1b[K");
  painter.clear();
  assert.equal(shell.err().match(/\r/g)!.length, 3);
});

Deno.test("a painter says nothing in a pipe and nothing hostile on a terminal", () => {
  const pipe = fakeShell();
  const silent = makePainter(pipe);
  silent.paint(() => "loading");
  silent.clear();
  assert.equal(pipe.err(), "");
  const shell = fakeShell({ terminal: true });
  const painter = makePainter(shell, () => 0);
  painter.paint(() => "loading \x1b]0;owned\x07.png\nnext");
  painter.clear();
  assert.equal(shell.err(), "\r\x1b[Kloading ]0;owned.png next\r\x1b[K");
});

Deno.test("rates", () => {
  assert.equal(rate(3.24), "3.2/s");
  assert.equal(rate(0.5), "30/min");
  assert.equal(rate(0.02), "1.2/min");
});
