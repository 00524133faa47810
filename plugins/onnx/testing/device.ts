/**
 * Testing on a GPU: `TESSERA_TEST_DEVICE=cuda deno test …` adds the contract on that device.
 * @module
 */
import type { Device } from "../backend.ts";

/** The device to test besides the CPU, if any. */
export function extraDevice(): Device | undefined {
  const device = Deno.env.get("TESSERA_TEST_DEVICE");
  if (device === undefined || device === "") return undefined;
  if (device !== "cuda" && device !== "webgpu") {
    throw new Error(
      `TESSERA_TEST_DEVICE is "${device}"; expected cuda or webgpu`,
    );
  }
  return device;
}
