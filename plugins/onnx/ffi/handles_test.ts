import { ledgerTest } from "../testing/ledger.ts";
import { ffiBackend } from "./mod.ts";

ledgerTest("ffi", ffiBackend);
