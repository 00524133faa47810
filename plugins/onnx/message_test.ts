import assert from "node:assert/strict";
import { oneLine, tidyMessage } from "./message.ts";

Deno.test("ONNX Runtime's messages lose source paths and conditions, not the facts", () => {
  assert.equal(
    tidyMessage(
      "Non-zero status code returned while running Add node. Name:'sum' Status Message: /src/onnxruntime/core/providers/cpu/math/broadcast.h:60 bool Append(int64_t) axis == 1 || axis == largest was false. Attempting to broadcast an axis by a dimension other than 1. 2 by 3\n",
    ),
    "Non-zero status code returned while running Add node. Name:'sum' Attempting to broadcast an axis by a dimension other than 1. 2 by 3",
  );
  assert.equal(
    tidyMessage("Failed to load model\nbecause protobuf parsing failed."),
    "Failed to load model because protobuf parsing failed.",
  );
  assert.equal(tidyMessage("x".repeat(5000)).length, 600);
});

Deno.test("anything thrown has a message of one line", () => {
  assert.equal(oneLine(new Error("a\n  b")), "a b");
  assert.equal(oneLine("text"), "text");
  assert.equal(oneLine(undefined), "undefined");
});
