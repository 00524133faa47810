import assert from "node:assert/strict";
import { Effect } from "effect";
import { IMAGENET_MEAN, IMAGENET_STD } from "../media/mod.ts";
import { decodePreprocessor, readPreprocessor } from "./preprocessor.ts";
import { failure, withFolder } from "./testing.ts";

/** As published, with what a "fast" processor writes besides. */
const published = {
  crop_size: null,
  crop_to_patches: false,
  data_format: "channels_first",
  device: null,
  do_center_crop: null,
  do_convert_rgb: true,
  do_normalize: true,
  do_rescale: true,
  do_resize: true,
  image_mean: IMAGENET_MEAN,
  image_processor_type: "GotOcr2ImageProcessorFast",
  image_std: IMAGENET_STD,
  max_patches: 12,
  min_patches: 1,
  processor_class: "InternVLProcessor",
  resample: 3,
  rescale_factor: 0.00392156862745098,
  size: { height: 448, width: 448 },
};

Deno.test("a published file, and the mean and deviation that tiles have here", () => {
  assert.deepEqual(decodePreprocessor(published), {
    tileSize: 448,
    minTiles: 1,
    maxTiles: 12,
  });
});

Deno.test("a missing key, or null, is the class's default", () => {
  const { image_mean, image_std } = published;
  assert.deepEqual(
    decodePreprocessor({ image_mean, image_std, max_patches: null }),
    { tileSize: 384, minTiles: 1, maxTiles: 12 },
  );
});

Deno.test("what is not done here is refused by its key", () => {
  const cases: [object, RegExp][] = [
    [
      { image_processor_type: "CLIPImageProcessor" },
      /^image_processor_type is "CLIPImageProcessor"; Got/,
    ],
    [{ do_resize: false }, /^do_resize is false; true is/],
    [{ do_rescale: false }, /^do_rescale is false/],
    [{ do_normalize: false }, /^do_normalize is false/],
    [{ do_center_crop: true }, /^do_center_crop is true; false is/],
    [{ do_pad: true }, /^do_pad is true/],
    [{ rescale_factor: 1 }, /^rescale_factor is 1; 1\/255 is/],
    [{ resample: 2 }, /^resample is 2; 3, which is bicubic/],
    [
      { image_mean: [0.5, 0.5, 0.5] },
      /^image_mean is \[0\.5, 0\.5, 0\.5\]; \[0\.485, 0\.456, 0\.406\] is/,
    ],
    [{ image_mean: [0.485] }, /^image_mean is \[0\.485\];/],
    [
      { image_mean: undefined },
      /^image_mean is \[0\.48145466, .*\], the default; \[0\.485/,
    ],
    [{ image_std: [0.5, 0.5, 0.5] }, /^image_std is/],
    [
      { size: { height: 448, width: 336 } },
      /^size is 448 by 336; tiles are square/,
    ],
    [{ size: { shortest_edge: 448 } }, /"height"/],
    [{ size: 448 }, /"size"/],
    [
      { min_patches: 7, max_patches: 6 },
      /^min_patches 7 is more than max_patches 6/,
    ],
    [{ max_patches: 41 }, /^max_patches is 41; at most 40 tiles/],
    [{ max_patches: "12" }, /"max_patches"/],
  ];
  for (const [change, message] of cases) {
    const entries = Object.entries({ ...published, ...change })
      .filter(([, value]) => value !== undefined);
    assert.match(
      String(decodePreprocessor(Object.fromEntries(entries))),
      message,
    );
  }
});

Deno.test("the file of its own rules, then the processor's; without both the folder is refused", async () => {
  const read = (files: Record<string, object>) =>
    withFolder(
      Object.fromEntries(
        Object.entries(files).map((
          [name, value],
        ) => [name, JSON.stringify(value)]),
      ),
      async (dir) => {
        const found = await Effect.runPromiseExit(readPreprocessor(dir));
        return found._tag === "Success"
          ? found.value.pictures
          : (await failure(readPreprocessor(dir))).message.replaceAll(
            dir,
            "DIR",
          );
      },
    );
  const processor = {
    image_processor: { ...published, max_patches: 4 },
    image_seq_length: 256,
  };
  assert.deepEqual(await read({ "processor_config.json": processor }), {
    tileSize: 448,
    minTiles: 1,
    maxTiles: 4,
    tokensPerTile: 256,
  });
  assert.deepEqual(
    await read({
      "preprocessor_config.json": published,
      "processor_config.json": processor,
    }),
    { tileSize: 448, minTiles: 1, maxTiles: 12, tokensPerTile: 256 },
  );
  assert.match(
    String(await read({ "processor_config.json": { image_seq_length: 256 } })),
    /^DIR\/preprocessor_config\.json is missing; a checkpoint of InternVLForConditionalGeneration has there/,
  );
  assert.match(
    String(
      await read({ "preprocessor_config.json": { ...published, resample: 0 } }),
    ),
    /^DIR\/preprocessor_config\.json: resample is 0/,
  );
});
