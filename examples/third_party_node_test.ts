import assert from "node:assert/strict";
import {
  builtin,
  fromDocument,
  ImageSource,
  InternVL,
  load,
  makeRegistry,
  pipeline,
  toDocument,
} from "@tessera/sdk";
import { Effect } from "effect";
import gray, { askInGray, grayscale } from "./third_party_node.ts";

const registry = makeRegistry([builtin, gray]);
const toGray = pipeline("to-gray", (g) => {
  const source = g.input("image", ImageSource);
  return g.add(grayscale, g.add(load, { source }), { amount: 1 });
});
const document = JSON.stringify(toDocument(toGray));
const image = {
  width: 2,
  height: 1,
  data: Uint8Array.of(255, 0, 0, 10, 20, 30),
};

Deno.test("a foreign node runs between ours", async () => {
  await using model = await InternVL.load("models/nano");
  const events: string[] = [];
  const { outputs } = await model.run(
    askInGray,
    { image: "examples/images/shapes.png", question: "What is this?" },
    {
      onEvent: (event) => {
        if (event._tag === "NodeFinished") events.push(event.kind);
      },
    },
  );
  assert.ok(outputs.completion.text.length > 0);
  assert.ok(events.indexOf("load") < events.indexOf("grayscale"));
  assert.ok(events.indexOf("grayscale") < events.indexOf("tile"));

  const read = await Effect.runPromise(fromDocument(document, registry));
  assert.deepEqual((await model.run(read, { image })).outputs, {
    gray: { ...image, data: Uint8Array.of(76, 76, 76, 18, 18, 18) },
  });
});

Deno.test("its parameters are checked where a document is read", async () => {
  const wrong = document.replace('"amount":1', '"amount":7');
  const error = await Effect.runPromise(
    Effect.flip(fromDocument(wrong, registry)),
  );
  assert.match(error.message, /node "grayscale".*amount/);
});
