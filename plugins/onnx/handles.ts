/**
 * The ledger of native handles. Whatever is created natively is entered here and struck out when it is
 * released, so that a test can show that nothing leaks.
 * @module
 */

/** Kinds of native handles; the last three belong to the N-API backend. */
export type HandleKind =
  | "env"
  | "sessionOptions"
  | "session"
  | "runOptions"
  | "memoryInfo"
  | "allocator"
  | "value"
  | "status"
  | "typeInfo"
  | "providerOptions"
  | "worker"
  | "workerSession"
  | "workerTensor";

const live: Record<HandleKind, number> = {
  env: 0,
  sessionOptions: 0,
  session: 0,
  runOptions: 0,
  memoryInfo: 0,
  allocator: 0,
  value: 0,
  status: 0,
  typeInfo: 0,
  providerOptions: 0,
  worker: 0,
  workerSession: 0,
  workerTensor: 0,
};

/** How many native handles of each kind are alive in this process (this module instance). */
export function liveHandles(): Readonly<Record<HandleKind, number>> {
  return { ...live };
}

/** Enters one handle. */
export function acquired(kind: HandleKind): void {
  live[kind]++;
}

/** Strikes out one handle. */
export function released(kind: HandleKind): void {
  live[kind]--;
}
