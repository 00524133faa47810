import { backendContract } from "../testing/contract.ts";
import { ffiBackend } from "./mod.ts";

backendContract("ffi", ffiBackend, { endsRuns: true, bfloat16: true });
