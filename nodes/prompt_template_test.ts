import assert from "node:assert/strict";
import { PromptError } from "./errors.ts";
import { arrangePrompt, type PromptParts } from "./prompt_template.ts";

const arrange = (parts: Partial<PromptParts>) => {
  const arranged = arrangePrompt({
    question: "What?",
    history: undefined,
    images: [],
    frames: [],
    numPatchesList: undefined,
    ...parts,
  });
  return arranged instanceof PromptError
    ? arranged.message
    : [arranged.question, arranged.numPatchesList];
};

Deno.test("a text-only question has no placeholders and no counts", () => {
  assert.deepEqual(arrange({}), ["What?", []]);
});

Deno.test("pictures are combined behind one placeholder by default", () => {
  assert.deepEqual(arrange({ images: [7, 3] }), ["What?", [10]]);
  assert.deepEqual(arrange({ images: [7, 3], question: "<image>\nWhat?" }), [
    "<image>\nWhat?",
    [10],
  ]);
});

Deno.test("as many placeholders as pictures: one each", () => {
  const question = "Image-1: <image>\nImage-2: <image>\nCompare.";
  assert.deepEqual(arrange({ images: [7, 3], question }), [question, [7, 3]]);
});

Deno.test("placeholders that fit neither way are refused in the caller's own terms", () => {
  const question = "<image> and <image>";
  assert.equal(
    arrange({ images: [7], question }),
    "the prompt has 2 <image> placeholders but 1 picture is given; write one for each picture or one " +
      "for all, history included, or say in numPatchesList how many tiles each stands for",
  );
  assert.match(
    String(arrange({ images: [7, 3, 5], frames: [1], question })),
    /has 2 <image> placeholders but 3 pictures are given/,
  );
  assert.deepEqual(
    arrange({ images: [7, 3, 5], question, numPatchesList: [10, 5] }),
    [question, [10, 5]],
  );
});

Deno.test("placeholders in the history count: all pictures are passed again", () => {
  const history = [["Image-1: <image>\nDescribe.", "A cat."]] as const;
  const question = "Image-2: <image>\nAnd this one?";
  assert.deepEqual(arrange({ images: [7, 3], question, history }), [
    question,
    [7, 3],
  ]);
});

Deno.test("the caller's list rules, and must add up", () => {
  assert.deepEqual(arrange({ images: [7, 3], numPatchesList: [7, 3] }), [
    "What?",
    [7, 3],
  ]);
  assert.equal(
    arrange({ images: [7, 3], numPatchesList: [7, 4] }),
    "numPatchesList [7, 4] adds up to 11 tiles, the pictures have 10 ([7, 3])",
  );
});

Deno.test("frames are announced once, in the first round", () => {
  assert.deepEqual(arrange({ frames: [1, 1] }), [
    "Frame1: <image>\nFrame2: <image>\nWhat?",
    [1, 1],
  ]);
  const history = [[
    "Frame1: <image>\nFrame2: <image>\nWhat?",
    "It moves.",
  ]] as const;
  assert.deepEqual(arrange({ frames: [1, 1], history, question: "Where?" }), [
    "Where?",
    [1, 1],
  ]);
});

Deno.test("frames come before pictures, each with its placeholder", () => {
  assert.deepEqual(arrange({ frames: [1], images: [3, 2] }), [
    "Frame1: <image>\n<image>\nWhat?",
    [1, 5],
  ]);
});
