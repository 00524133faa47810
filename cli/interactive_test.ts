import assert from "node:assert/strict";
import * as Effect from "effect/Effect";
import { MediaError } from "../nodes/errors.ts";
import {
  completer,
  type Ending,
  interactive,
  type InteractiveOptions,
  placeImages,
} from "./interactive.ts";
import type { LineReader } from "./lines.ts";
import { Shell } from "./shell.ts";
import { type FakeModel, fakeModel, fakeShell } from "./testing.ts";

const picture = "examples/images/shapes.png";
const other = "examples/images/one.jpg";

/** A person: lines to type, `^C`, which is a Ctrl-C at the prompt, and `x^C`, one after a letter. */
function person(script: readonly string[]): LineReader {
  const rest = [...script];
  let closed = false;
  const self: LineReader = {
    onInterrupt: () => {},
    read: () => {
      while (!closed) {
        const line = rest.shift();
        if (line !== "^C" && line !== "x^C") return Promise.resolve(line);
        self.onInterrupt(line === "x^C");
      }
      return Promise.resolve(undefined);
    },
    close: () => {
      closed = true;
    },
  };
  return self;
}

async function talk(
  script: readonly string[],
  options: Partial<InteractiveOptions> & {
    readonly model?: FakeModel;
    readonly reader?: LineReader;
  } = {},
): Promise<{ out: string; err: string; ending: Ending; model: FakeModel }> {
  const shell = fakeShell({ terminal: true });
  const model = options.model ?? fakeModel();
  const reader = options.reader ?? person(script);
  const ending = await Effect.runPromise(
    interactive(model, reader, {
      ask: {},
      images: [],
      video: undefined,
      history: undefined,
      ...options,
    }).pipe(Effect.provideService(Shell, shell)),
  );
  return { out: shell.out(), err: shell.err(), ending, model };
}

Deno.test("rounds keep the history and the pictures", async () => {
  const { model, out, ending } = await talk([
    `/image ${picture}`,
    "What is it?",
    "",
    "And its colour?",
    `/image '${other}'`,
    "Which is larger?",
    "/reset",
    "Hello",
    "/exit",
    "never asked",
  ]);
  assert.equal(ending, "exit");
  const first = "<image>\nWhat is it?";
  const third = "Image-2: <image>\nWhich is larger?";
  assert.deepEqual(
    model.requests.map(({ question, images, history }) => ({
      question,
      images,
      rounds: history?.length ?? 0,
    })),
    [
      { question: first, images: [picture], rounds: 0 },
      { question: "And its colour?", images: [picture], rounds: 1 },
      { question: third, images: [picture, other], rounds: 2 },
      { question: "Hello", images: [], rounds: 0 },
    ],
  );
  assert.match(out, /You asked: And its colour\?\n/);
});

Deno.test("one placeholder a picture, unless the person placed them", () => {
  assert.equal(placeImages("Q", 0, 0), "Q");
  assert.equal(placeImages("Q", 0, 1), "<image>\nQ");
  assert.equal(
    placeImages("Q", 0, 2),
    "Image-1: <image>\nImage-2: <image>\nQ",
  );
  assert.equal(placeImages("Q", 2, 1), "Image-3: <image>\nQ");
  assert.equal(placeImages("Here: <image> Q", 0, 2), "Here: <image> Q");
});

Deno.test("pictures of the command line; those of a history are not put again", async () => {
  const fresh = await talk(["Q"], { images: [picture] });
  assert.equal(fresh.model.requests[0]!.question, "<image>\nQ");
  const later = await talk(["Q"], {
    images: [picture],
    history: [["<image>\nq", "a"]],
  });
  assert.equal(later.model.requests[0]!.question, "Q");
  assert.deepEqual(later.model.requests[0]!.images, [picture]);
});

Deno.test("commands that are wrong say so", async () => {
  const { err, out, model } = await talk([
    "/imge x",
    "/image",
    "/image no/such.png",
    "/image examples",
    "/help",
  ]);
  assert.match(err, /there is no command \/imge; did you mean \/image\?/);
  assert.match(err, /which picture\?/);
  assert.match(err, /cannot read picture no\/such\.png: there is no such file/);
  assert.match(err, /picture examples is a folder/);
  assert.match(out, /\/reset +forget/);
  assert.equal(model.requests.length, 0);
});

Deno.test("a failed round is not remembered, and a bad picture is left out", async () => {
  const model = fakeModel((request) => {
    if (request.images!.length > 0) {
      throw new MediaError({ message: "shapes.png is no picture" });
    }
    return "fine";
  });
  const { err } = await talk([`/image ${picture}`, "Q1", "Q2", "Q3"], {
    model,
  });
  assert.match(err, /tessera: shapes\.png is no picture\n/);
  assert.match(err, /left out again/);
  assert.deepEqual(
    model.requests.map(({ question, history }) => [
      question,
      history?.length ?? 0,
    ]),
    [["<image>\nQ1", 0], ["Q2", 0], ["Q3", 1]],
  );
});

Deno.test("Ctrl-C stops an answer, a second one leaves", async () => {
  const reader = person(["Q1", "Q2", "Q3"]);
  let presses = 0;
  const model = fakeModel((request) => {
    if (request.question === "Q2") return "answered";
    return new Promise((_, reject) => {
      request.signal!.addEventListener("abort", () => {
        // The run needs a moment to end; the second press comes meanwhile.
        if (request.question === "Q3") reader.onInterrupt(false);
        reject(request.signal!.reason);
      });
      presses++;
      queueMicrotask(() => reader.onInterrupt(false));
    });
  });
  const { out, ending } = await talk([], { model, reader });
  assert.equal(ending, "interrupt");
  assert.equal(presses, 2);
  assert.equal(
    out.match(/\(stopped; this round is not remembered\)/g)!.length,
    2,
  );
  assert.deepEqual(
    model.requests.map(({ question, history }) => [
      question,
      history?.length ?? 0,
    ]),
    [["Q1", 0], ["Q2", 0], ["Q3", 1]],
  );
});

Deno.test("Ctrl-C at the prompt warns once, then leaves; a line, or one begun, takes the warning back", async () => {
  const twice = await talk(["^C", "^C", "never asked"]);
  assert.equal(twice.ending, "interrupt");
  assert.equal(twice.model.requests.length, 0);
  assert.match(twice.err, /Ctrl-C again, or \/exit, leaves/);
  const apart = await talk(["^C", "Q", "^C", "x^C", "^C", "/exit"]);
  assert.equal(apart.ending, "exit");
  assert.equal(apart.model.requests.length, 1);
});

Deno.test("names are completed", () => {
  assert.deepEqual(completer("/re"), [["/reset"], "/re"]);
  assert.deepEqual(completer("/image examples/images/sh"), [
    ["examples/images/shapes.png"],
    "examples/images/sh",
  ]);
  assert.deepEqual(completer("/image no/such/"), [[], "no/such/"]);
  assert.deepEqual(completer("What"), [[], "What"]);
});
