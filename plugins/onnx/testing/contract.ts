/**
 * The contract every binding keeps, as tests. `ffi/contract_test.ts` and `napi/contract_test.ts` run it.
 * @module
 */
import type { Layer } from "effect";
import type { Backend } from "../backend.ts";
import { errorsContract } from "./contract_errors.ts";
import { preparedContract } from "./contract_prepared.ts";
import { runsContract } from "./contract_runs.ts";
import { stateContract } from "./contract_state.ts";
import { valuesContract } from "./contract_values.ts";
import { effectTest } from "./effect.ts";
import type { ContractOptions, Part } from "./part.ts";

/** Registers the tests of one binding. */
export function backendContract<E>(
  binding: string,
  layer: Layer.Layer<Backend, E>,
  options: ContractOptions,
): void {
  const part: Part = {
    device: options.device ?? "cpu",
    options,
    test: (name, body) => effectTest(`${binding}: ${name}`, layer, body),
  };
  valuesContract(part);
  stateContract(part);
  errorsContract(part);
  runsContract(part);
  preparedContract(part);
}
