/**
 * Bodies of requests, never more of them than a handler wants.
 * @module
 */

/** A body has more bytes than it may have. */
export class BodyTooLarge extends Error {
  /** The discriminator. */
  readonly _tag = "BodyTooLarge" as const;
}

/** Reads a body of at most `limit` bytes; rejects with {@link BodyTooLarge} for a longer one. */
export async function readBody(
  req: Request,
  limit: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const fail = () => new BodyTooLarge(`the body has more than ${limit} bytes`);
  if (Number(req.headers.get("content-length") ?? 0) > limit) throw fail();
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of req.body ?? []) {
    length += part.length;
    if (length > limit) throw fail();
    parts.push(part);
  }
  const all = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}

/** The fields of a urlencoded form of at most `limit` bytes. */
export async function readForm(
  req: Request,
  limit: number = 1 << 16,
): Promise<URLSearchParams> {
  return new URLSearchParams(
    new TextDecoder().decode(await readBody(req, limit)),
  );
}
