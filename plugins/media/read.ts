/**
 * Reads a picture file that may be anything: a folder, a pipe, a disk image.
 * @module
 */
import { DecodeError } from "./decode.ts";

/** Reads a regular file of at most `maxBytes`; throws {@link DecodeError}. */
export async function readPicture(
  path: string,
  maxBytes: number,
): Promise<Uint8Array<ArrayBuffer>> {
  const size = await checkRegularFile(path);
  if (size === 0) throw new DecodeError("is empty");
  if (size > maxBytes) {
    throw new DecodeError(
      `is a file of ${size} bytes; a picture file may have at most ${maxBytes}`,
    );
  }
  try {
    return await Deno.readFile(path);
  } catch (error) {
    throw new DecodeError(explainFileError(error));
  }
}

/** Size of a regular file; throws {@link DecodeError} when it is missing or no regular file. */
export async function checkRegularFile(path: string): Promise<number> {
  let info: Deno.FileInfo;
  try {
    info = await Deno.stat(path);
  } catch (error) {
    throw new DecodeError(explainFileError(error));
  }
  if (info.isDirectory) throw new DecodeError("is a folder; a file is needed");
  // Opening a pipe would wait for its writer, and a device has no end.
  if (!info.isFile) throw new DecodeError("is no regular file");
  return info.size;
}

function explainFileError(error: unknown): string {
  if (error instanceof Deno.errors.NotFound) return "does not exist";
  if (error instanceof Deno.errors.NotCapable) {
    return "may not be read by this program; run it with --allow-read";
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return "may not be read by this user";
  }
  const said = error instanceof Error ? error.message : String(error);
  return `cannot be read: ${said.split("\n")[0]}`;
}
