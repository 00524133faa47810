/**
 * What the N-API backend and its worker say to each other. One worker holds one session and the tensors
 * allocated by it; a request is answered by one reply with the same id.
 * @module
 */
import type { DType, HostArrays } from "../../../nodes/tensor.ts";
import type { Device, ValueInfo } from "../backend.ts";

/** An array with its dtype and shape, crossing by transfer. */
export interface WireTensor {
  /** Element type. */
  readonly dtype: DType;
  /** Extents. */
  readonly shape: readonly number[];
  /** The numbers. */
  readonly data: HostArrays[DType];
}

/** A tensor that stays in the worker, seen with some shape. */
export interface WireHandle {
  /** Its number. */
  readonly tensor: number;
  /** Element type. */
  readonly dtype: DType;
  /** Extents. */
  readonly shape: readonly number[];
  /** Byte in the tensor's memory where it begins. */
  readonly offset: number;
}

/** A request to the worker. */
export type Request =
  | { readonly op: "about" }
  | {
    readonly op: "load";
    readonly bytes: Uint8Array<ArrayBuffer>;
    readonly externalDataFolder: string | undefined;
    readonly device: Device;
    readonly deviceId: number;
    readonly threads: number;
  }
  | {
    readonly op: "allocate";
    readonly tensor: number;
    readonly dtype: DType;
    readonly bytes: number;
  }
  | { readonly op: "free"; readonly tensor: number }
  | {
    readonly op: "write";
    readonly tensor: number;
    readonly offset: number;
    readonly data: Uint8Array<ArrayBuffer>;
  }
  | {
    readonly op: "read";
    readonly tensor: number;
    readonly offset: number;
    readonly bytes: number;
  }
  | {
    readonly op: "run";
    readonly feeds: Readonly<Record<string, WireTensor | WireHandle>>;
    readonly into: Readonly<Record<string, WireHandle>>;
    readonly outputs: readonly string[];
  }
  | { readonly op: "close" };

/** What each request is answered with. */
export interface Answers {
  /** Version of the package and the backends compiled into it. */
  readonly about: {
    readonly version: string;
    readonly backends: readonly {
      readonly name: string;
      readonly bundled: boolean;
    }[];
  };
  /** The session's inputs and outputs. */
  readonly load: {
    readonly inputs: readonly ValueInfo[];
    readonly outputs: readonly ValueInfo[];
  };
  /** Nothing. */
  readonly allocate: undefined;
  /** Nothing. */
  readonly free: undefined;
  /** Nothing. */
  readonly write: undefined;
  /** The bytes. */
  readonly read: Uint8Array<ArrayBuffer>;
  /** The outputs asked for. */
  readonly run: Readonly<Record<string, WireTensor>>;
  /** Nothing. */
  readonly close: undefined;
}

/** A request with the id of its reply. */
export interface Envelope {
  /** Counts up. */
  readonly id: number;
  /** The request. */
  readonly request: Request;
}

/** A reply. */
export type Reply =
  | { readonly id: number; readonly answer: Answers[keyof Answers] }
  | { readonly id: number; readonly error: string };
