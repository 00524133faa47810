/**
 * How kernels in AssemblyScript are compiled and written down; shared by the build scripts and their tests.
 * @module
 */

/** The compiler, an npm package. */
export const COMPILER = "assemblyscript@0.28.20";

/** The part of the compiler's interface that is used here. */
export interface Compiler {
  /** Runs the command line; files go through the callbacks. */
  main(
    args: string[],
    io: {
      readFile(name: string): string | null;
      writeFile(name: string, contents: Uint8Array | string): void;
      listFiles(): string[];
    },
  ): Promise<{ error: Error | null; stderr: { toString(): string } }>;
}

/** Compiles `kernel.as` for memory that the caller brings, with SIMD; `options` are further flags. */
export async function compile(
  compiler: Compiler,
  file: URL,
  options: readonly string[] = [],
): Promise<Uint8Array<ArrayBuffer>> {
  const source = await Deno.readTextFile(file);
  let wasm: Uint8Array<ArrayBuffer> | undefined;
  const { error, stderr } = await compiler.main([
    "kernel.ts",
    "--outFile",
    "kernel.wasm",
    "--runtime",
    "stub",
    "--enable",
    "simd",
    "--importMemory",
    ...options,
    "-O3",
    "--noAssert",
  ], {
    readFile: (name) => name === "kernel.ts" ? source : null,
    writeFile: (_, contents) => {
      if (typeof contents !== "string") wasm = new Uint8Array(contents);
    },
    listFiles: () => [],
  });
  if (error !== null || wasm === undefined) {
    throw new Error(`kernel.as does not compile: ${stderr.toString()}`);
  }
  return wasm;
}

/** The text of a kernel_wasm.ts; `about` are the lines of its comment. */
export async function renderModule(
  about: readonly string[],
  file: URL,
  wasm: Uint8Array<ArrayBuffer>,
): Promise<string> {
  const lines = wasm.toBase64().match(/.{1,96}/g) ?? [];
  return [
    "/**",
    ...about.map((line) => ` * ${line}`),
    " * @module",
    " */",
    "",
    "/** SHA-256 of the kernel.as it was compiled from. */",
    "export const KERNEL_SOURCE_SHA256: string =",
    `  "${await sha256(await Deno.readFile(file))}";`,
    "",
    "/** The WebAssembly module, base64. */",
    "export const KERNEL_WASM: string =",
    lines.map((line) => `  "${line}"`).join(" +\n") + ";",
    "",
  ].join("\n");
}

/** SHA-256 as lower-case hexadecimal digits. */
export async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}
