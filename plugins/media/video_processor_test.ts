/** One contract for both readers: every sampled frame is the one whose number it carries. */
import assert from "node:assert/strict";
import { Effect, Fiber } from "effect";
import type { MediaError } from "../../nodes/errors.ts";
import { type SampleOptions, VideoProcessor } from "../../nodes/services.ts";
import type { Image, VideoFrames, VideoSource } from "../../nodes/values.ts";
import { sampleIndices } from "./sample_indices.ts";
import { videoProcessorWith } from "./video_processor.ts";

type Reader = "node-av" | "ffmpeg";

interface Expected {
  readonly frames: number;
  readonly fps: number;
  readonly size: readonly [width: number, height: number];
  readonly rotation: number;
  readonly first: number;
}

const folder = new URL("../../tests/golden/media/clips/", import.meta.url);
const golden: Readonly<Record<string, Expected>> = JSON.parse(
  await Deno.readTextFile(new URL("expected.json", folder)),
);

const sample = (source: VideoSource, options: SampleOptions) =>
  Effect.flatMap(VideoProcessor, (video) => video.sample(source, options));

const run = <A, E>(
  reader: Reader,
  effect: Effect.Effect<A, E, VideoProcessor>,
): Promise<A> =>
  Effect.runPromise(Effect.provide(effect, videoProcessorWith({ reader })));

/** The number that tools/media/make_clips.py drew into a frame, or -1 when it is not readable. */
function numberOf(image: Image, rotation: number): number {
  const [width, height] = [128, 80];
  const bright = (x: number, y: number): boolean => {
    const [column, row] = rotation === 90
      ? [height - 1 - y, x]
      : rotation === 180
      ? [width - 1 - x, height - 1 - y]
      : rotation === 270
      ? [y, width - 1 - x]
      : [x, y];
    const at = (row * image.width + column) * 3;
    return image.data[at] + image.data[at + 1] + image.data[at + 2] > 3 * 128;
  };
  let number = 0, complement = 0;
  for (let bit = 0; bit < 8; bit++) {
    const x = bit * 16 + 8;
    number = 2 * number + Number(bright(x, 8));
    complement = 2 * complement + Number(bright(x, 24));
  }
  return (number ^ complement) === 255 ? number : -1;
}

function check(
  name: string,
  video: VideoFrames,
  options: SampleOptions,
): void {
  const expected = golden[name];
  assert.equal(video.frameCount, expected.frames, `${name}: frames`);
  assert.ok(Math.abs(video.fps - expected.fps) < 1e-9, `${name}: ${video.fps}`);
  assert.deepEqual(
    video.indices,
    sampleIndices(expected.frames, expected.fps, options),
  );
  assert.deepEqual(
    video.frames.map((frame) => numberOf(frame, expected.rotation)),
    video.indices.map((index) => index + expected.first),
    `${name}: numbers`,
  );
  const shown = new Set(video.frames.slice(0, 16));
  for (const frame of video.frames) {
    const { width, height, data, icon } = frame;
    assert.deepEqual([width, height], expected.size, name);
    assert.equal(data.length, width * height * 3);
    if (shown.has(frame)) {
      assert.match(icon ?? "", /^data:image\/webp;base64,/);
    }
  }
}

async function starts(program: string): Promise<boolean> {
  const permission = await Deno.permissions.query({
    name: "run",
    command: program,
  });
  if (permission.state !== "granted") return false;
  const command = new Deno.Command(program, {
    args: ["-version"],
    stdout: "null",
    stderr: "null",
  });
  try {
    // A program that is not there throws before there is a promise.
    return (await command.output()).success;
  } catch {
    return false;
  }
}

const available: Record<Reader, boolean> = {
  "node-av": await import("node-av/lib").then(() => true, () => false),
  ffmpeg: await starts("ffmpeg") && await starts("ffprobe"),
};

/** An MP4 whose display matrix is `(a, b; c, d)` in place of the identity. */
async function shownBy(
  name: string,
  matrix: readonly [number, number, number, number],
): Promise<Uint8Array> {
  const bytes = await Deno.readFile(new URL(name, folder));
  const text = new TextDecoder("latin1").decode(bytes);
  // Of a track header of version 0 the matrix begins 40 bytes after the box's name.
  const at = text.indexOf("tkhd") + 44;
  const view = new DataView(bytes.buffer);
  assert.equal(view.getInt32(at), 0x10000);
  for (const [i, place] of [0, 4, 12, 16].entries()) {
    view.setInt32(at + place, matrix[i]! * 0x10000);
  }
  return bytes;
}

for (const reader of ["node-av", "ffmpeg"] as const) {
  const test = (name: string, fn: () => Promise<void>) =>
    Deno.test({
      name: `${reader}: ${name}`,
      ignore: !available[reader],
      fn,
    });
  // Starting a program costs more than decoding these clips does.
  const few = reader === "ffmpeg";

  test("every frame of every clip is the right one", () =>
    run(
      reader,
      Effect.gen(function* () {
        for (const [name, { frames }] of Object.entries(golden)) {
          const all: SampleOptions[] = [
            { segments: frames },
            { segments: 8 },
            { segments: 3, start: 0.4, end: 0.7 },
            { segments: 2 * frames },
          ];
          for (const options of few ? all.slice(0, 1) : all) {
            const video = yield* sample(new URL(name, folder), options);
            check(name, video, options);
          }
        }
      }),
    ));

  test("frames are turned and mirrored as the file says", () =>
    run(
      reader,
      Effect.gen(function* () {
        const options = { segments: 1 };
        const name = "h264.mp4";
        const [upright] = (yield* sample(new URL(name, folder), options))
          .frames;
        const path = yield* Effect.promise(() => Deno.makeTempFile());
        const { width: w, height: h } = upright!;
        // Where the pixel that is shown at (x, y) comes from.
        type From = (x: number, y: number) => [x: number, y: number];
        const cases: [[number, number, number, number], From][] = [
          [[-1, 0, 0, 1], (x, y) => [w - 1 - x, y]],
          [[1, 0, 0, -1], (x, y) => [x, h - 1 - y]],
          [[0, 1, -1, 0], (x, y) => [y, h - 1 - x]],
          [[0, 1, 1, 0], (x, y) => [y, x]],
          [[0, -1, -1, 0], (x, y) => [w - 1 - y, h - 1 - x]],
        ];
        for (const [matrix, from] of few ? cases.slice(0, 1) : cases) {
          const bytes = yield* Effect.promise(() => shownBy(name, matrix));
          yield* Effect.promise(() => Deno.writeFile(path, bytes));
          const [{ width, height, data }] = (yield* sample(path, options))
            .frames as [Image];
          const wrong = Array.from({ length: width * height }, (_, i) => {
            const [x, y] = from(i % width, Math.floor(i / width));
            // Chroma is made larger before or after the turn.
            return Math.abs(data[3 * i]! - upright!.data[3 * (y * w + x)]!);
          }).filter((difference) => difference > 40).length;
          assert.ok(wrong < width * height / 100, `${matrix}: ${wrong}`);
        }
        yield* Effect.promise(() => Deno.remove(path));
      }),
    ));

  test("broken and hostile files are refused in one line", () =>
    run(
      reader,
      Effect.gen(function* () {
        const cases: [string, RegExp][] = [
          ["no-such.mp4", /does not exist$/],
          ["empty.mp4", /is empty$/],
          ["text.mp4", /is no video that can be read/],
          ["no-moov.mp4", /is no video that can be read/],
          ["playlist.mp4", /is no video that can be read/],
          ["concat.mp4", /is no video that can be read \(it is not MP4, /],
          ["sound-only.mp4", /holds no video stream/],
          ["expected.json", /is no video that can be read/],
          [".", /is a folder/],
        ];
        for (const [name, message] of cases) {
          const source = new URL(name, folder);
          const error: MediaError = yield* Effect.flip(
            sample(source, { segments: 4 }),
          );
          assert.equal(error._tag, "MediaError");
          assert.match(error.message, message);
          assert.ok(error.message.startsWith(String(source)), error.message);
          assert.ok(!error.message.includes("\n"), error.message);
        }
      }),
    ));

  test("a frame of a damaged file is right or refused", () =>
    run(
      reader,
      Effect.gen(function* () {
        let right = 0, refused = 0;
        for (const name of ["cut.mp4", "damaged.mp4"]) {
          // One frame each, at the times of frames 0, 3, 6, ...
          for (let frame = 0; frame < 96; frame += few ? 24 : 3) {
            const at = frame / 30;
            const options = { segments: 1, start: at, end: at };
            const result = yield* Effect.result(
              sample(new URL(name, folder), options),
            );
            if (result._tag === "Success") {
              const [image] = result.success.frames;
              assert.equal(numberOf(image, 0), frame, `${name}: ${frame}`);
              right++;
            } else {
              assert.match(
                result.failure.message,
                /is damaged|no frame lies between/,
              );
              refused++;
            }
          }
        }
        assert.ok(refused > 0 && (few || right > 20), `${right}, ${refused}`);
      }),
    ));

  test("ranges outside the video and odd options are refused", () =>
    run(
      reader,
      Effect.gen(function* () {
        const clip = new URL("h264.mp4", folder);
        const cases: [SampleOptions, RegExp][] = [
          [{ segments: 8, start: 60 }, /between 60 s .* 3\.20 s long/],
          [{ segments: 0 }, /0 segments/],
          [{ segments: 8, start: 3, end: 2 }, /after the end/],
        ];
        for (const [options, message] of cases) {
          const error = yield* Effect.flip(sample(clip, options));
          assert.match(error.message, message);
        }
      }),
    ));

  test("an interrupted video leaves the reader to the next one", () =>
    run(
      reader,
      Effect.gen(function* () {
        const clip = new URL("h265.mp4", folder);
        for (const wait of [0, 5, 30]) {
          const fiber = yield* Effect.forkChild(sample(clip, { segments: 72 }));
          yield* Effect.sleep(wait);
          yield* Fiber.interrupt(fiber);
        }
        const options = { segments: 2 };
        check("h265.mp4", yield* sample(clip, options), options);
      }),
    ));

  test("a path, a URL and a file: string are the same", () =>
    run(
      reader,
      Effect.gen(function* () {
        const url = new URL("mjpeg.avi", folder);
        for (const source of [url, url.href, url.pathname]) {
          const options = { segments: 1 };
          check("mjpeg.avi", yield* sample(source, options), options);
        }
        const error = yield* Effect.flip(
          sample("https://example.com/a.mp4", { segments: 1 }),
        );
        assert.match(error.message, /only local files are read/);
      }),
    ));
}

Deno.test({
  name: "without node-av the ffmpeg program is used",
  ignore: !available.ffmpeg,
  permissions: { read: true, env: true, run: ["ffmpeg", "ffprobe"] },
  fn: async () => {
    const options = { segments: 2 };
    const effect = sample(new URL("h264.mp4", folder), options);
    const layer = videoProcessorWith();
    check(
      "h264.mp4",
      await Effect.runPromise(Effect.provide(effect, layer)),
      options,
    );
  },
});

Deno.test({
  name: "without either, the message says what to install or allow",
  permissions: { read: true, env: true },
  fn: async () => {
    const effect = Effect.flip(
      sample(new URL("h264.mp4", folder), { segments: 2 }),
    );
    for (
      const [reader, message] of [
        [
          "auto",
          /cannot be read: ff\w+ .*(--allow-run|install FFmpeg).*; node-av does not load \(/,
        ],
        ["node-av", /cannot be read: node-av does not load \(/],
        ["ffmpeg", /cannot be read: ff\w+ .*(--allow-run|install FFmpeg)/],
      ] as const
    ) {
      const layer = videoProcessorWith({ reader });
      const error = await Effect.runPromise(Effect.provide(effect, layer));
      assert.equal(error._tag, "MediaError");
      assert.match(error.message, message);
    }
  },
});

Deno.test({
  name: "both readers give the same pixels",
  ignore: !available["node-av"] || !available.ffmpeg,
  fn: async () => {
    for (
      const name of [
        "h264-709.mp4",
        "h264-10bit.mkv",
        "rotated90.mp4",
        "rotated270.mp4",
        "vp9.webm",
        "animated.gif",
        "mjpeg.avi",
      ]
    ) {
      const effect = sample(new URL(name, folder), { segments: 3 });
      const [a, b] = [
        await run("node-av", effect),
        await run("ffmpeg", effect),
      ];
      a.frames.forEach(({ data }, i) => {
        // Two versions of FFmpeg may round differently, but not more.
        const other = b.frames[i].data;
        const far = data.findIndex((v, j) => Math.abs(v - other[j]) > 2);
        assert.equal(far, -1, `${name}: frame ${i}, byte ${far}`);
      });
    }
  },
});
