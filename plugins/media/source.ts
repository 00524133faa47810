/**
 * Where a picture or video lies.
 * @module
 */
import { Effect } from "effect";
import { fileURLToPath } from "node:url";
import { MediaError } from "../../nodes/errors.ts";

/** The path of a path or `file:` URL; anything that would need the network is refused. */
export function localPath(
  source: string | URL,
): Effect.Effect<string, MediaError> {
  return Effect.try({
    try: () => {
      if (typeof source !== "string" && !(source instanceof URL)) {
        throw new TypeError(
          `a ${typeof source} is no source; a path, a file: URL, bytes or pixels are`,
        );
      }
      const text = String(source);
      if (text === "") throw new TypeError("the path is empty");
      if (text.includes("\0")) throw new TypeError("the path holds a NUL");
      if (/^file:/i.test(text)) return fileURLToPath(text);
      if (/^(data:|[a-z][a-z0-9+.-]+:\/\/)/i.test(text)) {
        throw new TypeError(
          "only local files are read; download it and give its path or its bytes",
        );
      }
      return text;
    },
    catch: (error) => {
      const name = String(source).slice(0, 200);
      const said = error instanceof Error ? error.message : String(error);
      return new MediaError({
        source: name,
        message: `${name || "picture or video"}: ${said.split("\n")[0]}`,
        cause: error,
      });
    },
  });
}
