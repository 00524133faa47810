/**
 * The C library, for the few calls that Deno has no other way to make.
 * @module
 */

/** Its name, by which the dynamic loader knows it; undefined on Windows, which has none of this form. */
export const libc: string | undefined = {
  linux: "libc.so.6",
  darwin: "/usr/lib/libSystem.B.dylib",
}[Deno.build.os as string];
