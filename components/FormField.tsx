import type { JSX } from "preact";
import type { Field } from "./fields.ts";

/** A field of a generated form. */
export function FormField({ field }: { readonly field: Field }): JSX.Element {
  const { label, control, hint } = field;
  const wide = control === "text" || control === "json" ||
    control === "image" || control === "images" || control === "video";
  return (
    <label class={wide ? "whole" : undefined}>
      <span>
        {label}
        {hint === undefined ? "" : ` · ${hint}`}
      </span>
      <Input field={field} />
    </label>
  );
}

function Input({ field }: { readonly field: Field }): JSX.Element {
  const { name, control, required, value = "", min, max, choices } = field;
  switch (control) {
    case "text":
    case "json":
      return (
        <textarea
          name={name}
          rows={control === "json" ? 2 : 3}
          required={required}
          class={control === "json" ? "mono" : undefined}
        >
          {value}
        </textarea>
      );
    case "image":
    case "images":
    case "video":
      return (
        <input
          type="file"
          name={name}
          accept={control === "video" ? "video/*" : "image/*"}
          multiple={control === "images"}
          required={required}
        />
      );
    case "boolean":
    case "choice":
      return (
        <select name={name}>
          <option value="">default</option>
          {(choices ?? ["true", "false"]).map((choice) => (
            <option key={choice} value={choice} selected={choice === value}>
              {choice}
            </option>
          ))}
        </select>
      );
    case "integer":
    case "number":
      return (
        <input
          type="number"
          name={name}
          step={control === "integer" ? 1 : "any"}
          min={min}
          max={max}
          required={required}
          value={value}
        />
      );
    case "line":
      return <input name={name} required={required} value={value} />;
  }
}
