/**
 * `tessera video`: a question about a video, or about a part of one.
 * @module
 */
import * as Effect from "effect/Effect";
import * as Option from "effect/Option";
import * as Command from "effect/cli/Command";
import * as Flag from "effect/cli/Flag";
import type { VideoClip } from "../nodes/values.ts";
import { answer } from "./answer.ts";
import { checked, readQuestion } from "./chat.ts";
import { type Fault, UsageError } from "./faults.ts";
import * as flags from "./flags.ts";
import { generationFlags, idleSettings } from "./generation.ts";
import { openModel, requireDump } from "./models.ts";
import { Shell } from "./shell.ts";

const seconds = (name: string, description: string) =>
  Flag.Finite(name).pipe(
    Flag.filter(
      (value) => value >= 0,
      (value) => `Expected seconds from 0 on, got ${value}`,
    ),
    Flag.withMetavar("SECONDS"),
    Flag.withDescription(description),
    Flag.optional,
  );

const config = {
  ...flags.modelFlags,
  video: flags.path("video").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription("The video (required)"),
  ),
  segments: Flag.Int("segments").pipe(
    Flag.filter(
      (value) => value >= 1 && value <= 4096,
      (value) => `Expected 1 to 4,096 segments, got ${value}`,
    ),
    Flag.withMetavar("N"),
    Flag.withDescription(
      "Segments; the frame in the middle of each is seen; default: 8",
    ),
    Flag.withDefault(8),
  ),
  start: seconds("start", "Where to begin; default: the beginning"),
  end: seconds("end", "Where to end; default: the end"),
  system: flags.system,
  ...generationFlags,
  json: flags.json,
  dump: flags.dump,
  question: flags.question,
};

/** What the flags of `video` parse to. */
export type VideoFlags = Command.Command.Config.Infer<typeof config>;

/** `video` with its arguments parsed. */
export const videoHandler = Effect.fn("cli.video")(function* (
  options: VideoFlags,
) {
  const shell = yield* Shell;
  const ask = yield* checked(() => flags.askOptions(options));
  const start = Option.getOrUndefined(options.start);
  const end = Option.getOrUndefined(options.end);
  if (start !== undefined && end !== undefined && end <= start) {
    return yield* Effect.fail<Fault>(
      new UsageError(`--end ${end} must be later than --start ${start}`),
    );
  }
  yield* checked(() => flags.requireFile("video", options.video));
  yield* checked(() => requireDump(ask.dump));
  const idle = idleSettings(options);
  if (idle !== undefined) shell.warn(`tessera: ${idle}\n`);
  const question = yield* readQuestion(options.question);
  const video: VideoClip = {
    source: options.video,
    segments: options.segments,
    ...(start === undefined ? {} : { start }),
    ...(end === undefined ? {} : { end }),
  };
  const { model } = yield* openModel(flags.modelChoice(options));
  yield* answer(model, { ...ask, question, video }, { json: options.json });
}, Effect.scoped);

/** The `video` command. */
export const video = Command.make("video", config, videoHandler).pipe(
  Command.withDescription(
    "Ask about a video, or a part of one.\n\n" +
      "The video is cut into equal segments and the frame in the middle of each is put before the " +
      "question, announced as Frame1, Frame2, … --json prints what it prints for chat.",
  ),
  Command.withShortDescription("Ask about a video or a part of one"),
  Command.withExamples([
    {
      command: 'tessera video --video examples/videos/moving.mp4 "What moves?"',
      description: "Eight frames of a whole video",
    },
    {
      command:
        'tessera video -m DIR --video talk.mp4 --start 60 --end 90 \\\n  --segments 16 "What happens?"',
      description: "Sixteen frames of half a minute",
    },
  ]),
);
