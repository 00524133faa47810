/**
 * Fields of generated forms, as plain data.
 * @module
 */

/** What a field is typed into. */
export type Control =
  | "text"
  | "line"
  | "integer"
  | "number"
  | "boolean"
  | "choice"
  | "json"
  | "image"
  | "images"
  | "video";

/** A field. */
export interface Field {
  /** Its name in the form. */
  readonly name: string;
  /** Its name for people. */
  readonly label: string;
  /** What it is typed into. */
  readonly control: Control;
  /** Whether it must not be empty. */
  readonly required: boolean;
  /** A few words about it. */
  readonly hint?: string;
  /** What it begins with. */
  readonly value?: string;
  /** Least number. */
  readonly min?: number;
  /** Greatest number. */
  readonly max?: number;
  /** What can be chosen. */
  readonly choices?: readonly string[];
}

/** Fields that belong together: an input of a pipeline, or the parameters of a node. */
export interface FieldGroup {
  /** What they are of. */
  readonly title: string;
  /** Its type, or kind. */
  readonly type: string;
  /** The fields. */
  readonly fields: readonly Field[];
  /** Why a form cannot hold it, if so. */
  readonly refusal?: string;
}
