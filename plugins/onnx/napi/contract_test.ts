import { backendContract } from "../testing/contract.ts";
import { napiBackend } from "./mod.ts";

backendContract("napi", napiBackend, { endsRuns: false, bfloat16: false });
