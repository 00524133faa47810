import { backendContract } from "../testing/contract.ts";
import { extraDevice } from "../testing/device.ts";
import { ledgerTest } from "../testing/ledger.ts";
import { ffiBackend } from "./mod.ts";

const abilities = { endsRuns: true, bfloat16: true };
backendContract("ffi", ffiBackend, abilities);
ledgerTest("ffi", ffiBackend);

const device = extraDevice();
if (device !== undefined) {
  backendContract(`ffi on ${device}`, ffiBackend, { ...abilities, device });
  ledgerTest("ffi", ffiBackend, device);
}
