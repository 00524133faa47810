import { ledgerTest } from "../testing/ledger.ts";
import { napiBackend } from "./mod.ts";

ledgerTest("napi", napiBackend);
