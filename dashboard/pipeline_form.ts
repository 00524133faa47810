/**
 * A form for a pipeline's inputs and its nodes' parameters, and a run from what was typed into it.
 *
 * No path ever comes from a form: pictures and videos are uploads, and a port that could name a file in
 * some other way has no field.
 * @module
 */
import { Schema } from "effect";
import type { Field, FieldGroup } from "../components/fields.ts";
import type { NamedPicture, VideoClip } from "../nodes/values.ts";
import type {
  AnyNodeKind,
  AnyPipeline,
  AnyPort,
  AnyRegistry,
  NodeDocument,
  PipelineDocument,
} from "../pipeline/mod.ts";
import { filesIn, type Uploads } from "./chat/uploads.ts";
import { FieldError, fieldValue, schemaFields } from "./schema_fields.ts";

/** Ports whose JSON names no file, wherever they come from. */
const harmless = new Set([
  "Text",
  "Num",
  "Bool",
  "Json",
  "History",
  "GenerationSettings",
]);

const bare = (port: AnyPort): AnyPort =>
  port.derived === "optional" ? bare(port.element!) : port;

const isHarmless = (port: AnyPort): boolean =>
  harmless.has(port.name) ||
  (port.derived !== undefined && isHarmless(port.element!));

/** The fields of an input. */
function inputGroup(name: string, port: AnyPort): FieldGroup {
  const required = port.omittable !== true;
  const inner = bare(port);
  const key = `input.${name}`;
  const one = (control: Field["control"], hint?: string): FieldGroup => ({
    title: name,
    type: port.name,
    fields: [{
      name: key,
      label: name,
      control,
      required,
      ...(hint === undefined ? {} : { hint }),
    }],
  });
  switch (inner.name) {
    case "Text":
      return one("text");
    case "Num":
      return one("number");
    case "Bool":
      return one("boolean");
    case "ImageSource":
      return one("image");
    case "List<ImageSource>":
      return one("images");
    case "VideoClip":
      return {
        title: name,
        type: port.name,
        fields: [
          { name: key, label: name, control: "video", required },
          {
            name: `${key}.segments`,
            label: "segments",
            control: "integer",
            required: false,
            min: 1,
            max: 4096,
          },
        ],
      };
    case "Sample":
    case "List<Sample>":
      return {
        title: name,
        type: port.name,
        fields: [
          {
            name: `${key}.question`,
            label: inner.name === "Sample" ? "question" : "questions",
            control: "text",
            required,
            ...(inner.name === "Sample"
              ? {}
              : { hint: "one a line, each about all pictures" }),
          },
          {
            name: `${key}.images`,
            label: "images",
            control: "images",
            required: false,
          },
          {
            name: `${key}.video`,
            label: "video",
            control: "video",
            required: false,
          },
        ],
      };
  }
  if (isHarmless(inner)) {
    const fields = inner.schema === undefined
      ? undefined
      : schemaFields(inner.schema);
    return fields === undefined ? one("json", "JSON") : {
      title: name,
      type: port.name,
      fields: fields.map((field) => ({
        ...field,
        name: `${key}.${field.name}`,
      })),
    };
  }
  return {
    title: name,
    type: port.name,
    fields: [],
    ...(required
      ? {
        refusal: `A form cannot hold a ${port.name}; "tessera run" can.`,
      }
      : {}),
  };
}

/** The form of a pipeline. */
export interface PipelineForm {
  /** Its inputs. */
  readonly inputs: readonly FieldGroup[];
  /** Parameters of its nodes. */
  readonly params: readonly FieldGroup[];
}

/** Makes the form of a pipeline; `given` is what was typed into it before. */
export function pipelineForm(
  pipeline: AnyPipeline,
  document: PipelineDocument,
  registry: AnyRegistry,
  given?: (name: string) => string | undefined,
): PipelineForm {
  const filled = (group: FieldGroup): FieldGroup => ({
    ...group,
    fields: group.fields.map((field) => {
      const value = given?.(field.name);
      return value === undefined ? field : { ...field, value };
    }),
  });
  const inputs: Record<string, AnyPort> = pipeline.inputs;
  return {
    inputs: Object.entries(inputs).map(([name, port]) =>
      filled(inputGroup(name, port))
    ),
    params: document.nodes.flatMap((node) => {
      const group = paramsGroup(node, registry);
      return group === undefined ? [] : [filled(group)];
    }),
  };
}

function paramsGroup(
  { id, kind, params }: NodeDocument,
  registry: AnyRegistry,
): FieldGroup | undefined {
  const codec = (registry.kind(kind) as Partial<AnyNodeKind> | undefined)
    ?.params;
  const fields = codec && schemaFields(codec);
  if (fields === undefined || fields.length === 0) return undefined;
  const known = (params ?? {}) as { readonly [name: string]: unknown };
  return {
    title: id,
    type: kind,
    fields: fields.map((field) => {
      const value = known[field.name];
      return {
        ...field,
        name: `param.${id}.${field.name}`,
        required: false,
        ...(value === undefined ? {} : {
          value: typeof value === "string" ? value : JSON.stringify(value),
        }),
      };
    }),
  };
}

const most = 16;

/** Files under a name of a form, as what a run takes: pictures and videos with their names. */
async function filesOf(
  form: FormData,
  name: string,
  kind: "image" | "video",
  uploads: Uploads,
): Promise<(NamedPicture | VideoClip)[]> {
  const files = filesIn(form, name);
  if (files.length > most) {
    throw new FieldError(`${name}: there are more than ${most} files`);
  }
  return (await uploads.putAll(files)).map((upload) => {
    if (upload.kind !== kind) {
      throw new FieldError(
        `${name.replace(/^input\./, "")}: ${upload.name} is ${
          upload.kind === "image" ? "a picture" : "a video"
        }, and the input takes ${kind === "image" ? "pictures" : "videos"}`,
      );
    }
    return kind === "image"
      ? uploads.picture(upload.digest)!
      : uploads.video(upload.digest)!;
  });
}

/** What a form says: the document with its parameters, and the values of the inputs. */
export interface Filled {
  /** The pipeline, with the parameters that were typed in. */
  readonly document: PipelineDocument;
  /** Values by input, by the codecs' JSON. */
  readonly values: Readonly<Record<string, unknown>>;
}

/** Reads a form; rejects with a `FieldError` or an `UploadError`, which name the field or the file. */
export async function readPipelineForm(
  pipeline: AnyPipeline,
  document: PipelineDocument,
  registry: AnyRegistry,
  form: FormData,
  uploads: Uploads,
): Promise<Filled> {
  const { inputs, params } = pipelineForm(pipeline, document, registry);
  const text = (name: string): string => {
    const value = form.get(name);
    return typeof value === "string" ? value : "";
  };
  const values: Record<string, unknown> = {};
  // Values with files in them, as a run takes them.
  const ready: Record<string, unknown> = {};
  for (const group of inputs) {
    const { title: name, fields, refusal } = group;
    if (refusal !== undefined) throw new FieldError(`${name}: ${refusal}`);
    const key = `input.${name}`;
    const port = (pipeline.inputs as Record<string, AnyPort>)[name]!;
    const files = (part: string, kind: "image" | "video") =>
      filesOf(form, `${key}${part}`, kind, uploads);
    switch (bare(port).name) {
      case "ImageSource": {
        const [image] = await files("", "image");
        if (image !== undefined) ready[name] = image;
        else if (port.omittable !== true) {
          throw new FieldError(`${name}: there is no picture`);
        }
        continue;
      }
      case "List<ImageSource>":
        ready[name] = await files("", "image");
        continue;
      case "VideoClip": {
        const [video] = await files("", "video");
        const segments = fieldValue(fields[1]!, text(`${key}.segments`));
        if (video !== undefined) {
          ready[name] = segments === undefined ? video : { ...video, segments };
        } else if (port.omittable !== true) {
          throw new FieldError(`${name}: there is no video`);
        }
        continue;
      }
      case "Sample":
      case "List<Sample>": {
        const images = await files(".images", "image");
        const [video] = await files(".video", "video");
        const asked = text(`${key}.question`);
        const sample = (question: string) => ({
          question,
          images,
          ...(video === undefined ? {} : { video }),
        });
        ready[name] = bare(port).name === "Sample"
          ? sample(asked)
          : asked.split("\n").map((line) => line.trim())
            .filter((line) => line !== "").map(sample);
        continue;
      }
    }
    const [single] = fields;
    if (fields.length === 1 && single!.name === key) {
      const value = fieldValue(single!, text(key));
      if (value !== undefined) values[name] = value;
      else if (single!.control === "text" && port.omittable !== true) {
        values[name] = "";
      } else if (port.omittable !== true) {
        throw new FieldError(`${name}: nothing was given`);
      }
      continue;
    }
    const object = readObject(fields, key, text);
    if (Object.keys(object).length > 0 || port.omittable !== true) {
      values[name] = object;
    }
  }
  const nodes = document.nodes.map((node): NodeDocument => {
    const group = params.find(({ title }) => title === node.id);
    if (group === undefined) return node;
    const { params: _, ...rest } = node;
    const object = readObject(group.fields, `param.${node.id}`, text);
    return Object.keys(object).length === 0
      ? rest
      : { ...rest, params: object as NonNullable<NodeDocument["params"]> };
  });
  for (const [name, value] of Object.entries(ready)) {
    const port = (pipeline.inputs as Record<string, AnyPort>)[name]!;
    values[name] = Schema.encodeUnknownSync(port.schema!)(value);
  }
  return { document: { ...document, nodes }, values };
}

function readObject(
  fields: readonly Field[],
  key: string,
  text: (name: string) => string,
): Record<string, unknown> {
  const object: Record<string, unknown> = {};
  for (const field of fields) {
    const value = fieldValue(field, text(field.name));
    if (value !== undefined) object[field.name.slice(key.length + 1)] = value;
  }
  return object;
}
