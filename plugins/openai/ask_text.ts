/**
 * One question and its answer as text, for what stands beside OpenAI's API and keeps to its bounds.
 * @module
 */
import { Effect } from "effect";
import { answerAll } from "./ask.ts";
import { prepareChat } from "./chat.ts";
import { ApiError } from "./errors.ts";
import { ServerParts } from "./parts.ts";
import { ModelPool } from "./pool.ts";
import type { UserPart } from "./schema/chat.ts";

/** A question about pictures or a video. */
export interface TextQuestion {
  /** The question. */
  readonly question: string;
  /** Addresses of pictures, and what whoever asks calls each: a mistake is told by that. */
  readonly images?: readonly { readonly url: string; readonly name: string }[];
  /** Address of a video, and how many frames of it are seen. */
  readonly video?: { readonly url: string; readonly frames?: number };
  /** The model; default: the first. */
  readonly model?: string;
  /** Longest answer in tokens. */
  readonly maxTokens?: number;
}

/** A mistake by the names that the question has for its parts, not by those of a chat that nobody wrote. */
function byName(
  error: ApiError,
  { images = [], video }: TextQuestion,
): ApiError {
  const at = (index: number) => `messages[0].content[${index}]`;
  const first = video === undefined ? 0 : 1;
  const names = new Map([
    [`${at(0)}.video_url.url`, "video"],
    [`${at(0)}.video_url.num_frames`, "frames"],
    ...images.map(({ name }, i) =>
      [`${at(first + i)}.image_url.url`, name] as const
    ),
  ]);
  const { fields } = error;
  const name = names.get(fields.param ?? "");
  return name === undefined ? error : new ApiError({
    ...fields,
    param: name,
    message: fields.message.replaceAll(fields.param!, name),
  });
}

/** What {@link askText} asks for. */
export type TextServices = ModelPool | ServerParts;

/** Asks; fails with what OpenAI's API would answer. */
export const askText: (
  question: TextQuestion,
) => Effect.Effect<string, ApiError, TextServices> = Effect.fnUntraced(
  function* (asked: TextQuestion) {
    const { question, images = [], video, model, maxTokens } = asked;
    const pool = yield* ModelPool;
    const { limits, load } = yield* ServerParts;
    if (load.inFlight >= limits.maxConcurrent) {
      return yield* Effect.fail(
        new ApiError({
          status: 429,
          message:
            `${load.inFlight} questions are being answered, the most that are taken at once`,
        }),
      );
    }
    const content: UserPart[] = [
      ...(video === undefined ? [] : [{
        type: "video_url" as const,
        video_url: { url: video.url, num_frames: video.frames ?? null },
      }]),
      ...images.map(({ url }) => ({
        type: "image_url" as const,
        image_url: { url },
      })),
      { type: "text" as const, text: question },
    ];
    const answering = Effect.gen(function* () {
      const prepared = yield* prepareChat({
        model: model ?? pool.list()[0]!.id,
        messages: [{ role: "user", content }],
        max_tokens: maxTokens ?? null,
      });
      const [answer] = yield* answerAll(prepared.ask);
      return answer!.completion.text;
    }).pipe(Effect.mapError((error) => byName(error, asked)));
    return yield* Effect.acquireUseRelease(
      Effect.sync(() => load.inFlight++),
      () => Effect.scoped(answering),
      () => Effect.sync(() => load.inFlight--),
    );
  },
);
