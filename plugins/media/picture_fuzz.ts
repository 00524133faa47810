/**
 * Throws damaged pictures at the decoder: each must give an image or one line that says why not.
 *
 * The ordinary tests run a few hundred (picture_fuzz_test.ts); ten thousand by hand:
 *
 *   deno run --allow-read --allow-env --allow-ffi plugins/media/picture_fuzz.ts [runs] [seed]
 * @module
 */
import { Effect } from "effect";
import { ImageProcessor } from "../../nodes/services.ts";
import { imageProcessorWith } from "./image_processor.ts";
import { random } from "./test_kit.ts";

const folder = new URL("../../tests/golden/media/pictures/", import.meta.url);

/** How many damaged pictures still gave an image, and how many were refused. */
export interface FuzzResult {
  /** Images of the size they say. */
  readonly images: number;
  /** Errors of one line. */
  readonly refused: number;
}

/** Decodes `runs` damaged pictures; throws at the first answer that is neither image nor error. */
export async function fuzzPictures(
  runs: number,
  seed: number,
): Promise<FuzzResult> {
  const seeds: Uint8Array<ArrayBuffer>[] = [];
  const names: string[] = [];
  for await (const { name } of Deno.readDir(folder)) names.push(name);
  for (const name of names.sort()) {
    seeds.push(await Deno.readFile(new URL(name, folder)));
  }
  const next = random(seed);
  const jobs = Array.from({ length: runs }, (_, run) => ({
    run,
    bytes: mutate(seeds, next),
  }));
  let images = 0, refused = 0;
  const one = Effect.fnUntraced(
    function* (run: number, bytes: Uint8Array<ArrayBuffer>) {
      const processor = yield* ImageProcessor;
      const answer = yield* processor.decode(bytes).pipe(
        Effect.timeoutOrElse({
          duration: "60 seconds",
          orElse: () => Effect.die(new Error(`run ${run}: no answer`)),
        }),
        Effect.result,
      );
      if (answer._tag === "Success") {
        const { width, height, data } = answer.success;
        if (data.length !== width * height * 3 || data.length === 0) {
          throw new Error(
            `run ${run}: ${width}x${height}, ${data.length} bytes`,
          );
        }
        images++;
      } else {
        const { _tag, message } = answer.failure;
        if (
          _tag !== "MediaError" || !/^[\x20-\x7e]{1,400}$/.test(message) ||
          /cannot be processed/.test(message)
        ) {
          throw new Error(`run ${run}: ${_tag}: ${message}`);
        }
        refused++;
      }
    },
  );
  // Small limits keep the run short; the machine's memory is not what is tested here.
  const layer = imageProcessorWith({ maxPixels: 4_000_000 });
  await Effect.runPromise(
    Effect.forEach(jobs, ({ run, bytes }) => one(run, bytes), {
      concurrency: navigator.hardwareConcurrency,
      discard: true,
    }).pipe(Effect.provide(layer)),
  );
  return { images, refused };
}

/** A picture with one or two kinds of damage. */
function mutate(
  seeds: readonly Uint8Array<ArrayBuffer>[],
  next: () => number,
): Uint8Array<ArrayBuffer> {
  const below = (limit: number) => Math.floor(next() * limit);
  let bytes = seeds[below(seeds.length)].slice();
  for (let damage = 1 + below(2); damage > 0 && bytes.length > 0; damage--) {
    // Headers are where the numbers are that a decoder believes.
    const at = next() < 0.5
      ? below(Math.min(bytes.length, 128))
      : below(bytes.length);
    switch (below(7)) {
      case 0:
        bytes[at] ^= 1 << below(8);
        break;
      case 1:
        bytes[at] = below(256);
        break;
      case 2: // a number as large, as small or as negative as it gets
        bytes.fill([0x00, 0x7f, 0x80, 0xff][below(4)], at, at + 1 + below(8));
        break;
      case 3:
        bytes = bytes.slice(0, at);
        break;
      case 4: { // a piece repeated or left out
        const to = below(bytes.length);
        bytes = concat(bytes.subarray(0, at), bytes.subarray(to));
        break;
      }
      case 5: { // the beginning of one file, the end of another
        const other = seeds[below(seeds.length)];
        bytes = concat(
          bytes.subarray(0, at),
          other.subarray(below(other.length + 1)),
        );
        break;
      }
      case 6:
        for (let i = 0; i < 16; i++) bytes[below(bytes.length)] = below(256);
    }
  }
  return bytes;
}

function concat(a: Uint8Array, b: Uint8Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(a.length + b.length);
  out.set(a);
  out.set(b, a.length);
  return out;
}

if (import.meta.main) {
  const [runs = 10_000, seed = 1] = Deno.args.map(Number);
  const { images, refused } = await fuzzPictures(runs, seed);
  console.log(`${runs} damaged pictures: ${images} images, ${refused} refused`);
}
