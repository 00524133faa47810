import { backendContract } from "../testing/contract.ts";
import { extraDevice } from "../testing/device.ts";
import { ledgerTest } from "../testing/ledger.ts";
import { napiBackend } from "./mod.ts";

const abilities = { endsRuns: false, bfloat16: false };
backendContract("napi", napiBackend, abilities);
ledgerTest("napi", napiBackend);

const device = extraDevice();
if (device !== undefined) {
  backendContract(`napi on ${device}`, napiBackend, { ...abilities, device });
  ledgerTest("napi", napiBackend, device);
}
