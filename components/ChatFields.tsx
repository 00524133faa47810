import type { JSX } from "preact";
import type { ChatSettings } from "./chat.ts";

const fields: readonly {
  readonly name: keyof ChatSettings;
  readonly label: string;
  readonly hint: string;
  readonly step: string;
}[] = [
  { name: "maxNewTokens", label: "Tokens at most", hint: "1024", step: "1" },
  { name: "maxTiles", label: "Tiles at most", hint: "the model's", step: "1" },
  { name: "temperature", label: "Temperature", hint: "1", step: "any" },
  { name: "topP", label: "Top p", hint: "1", step: "any" },
  { name: "topK", label: "Top k", hint: "50", step: "1" },
  {
    name: "repetitionPenalty",
    label: "Repetition penalty",
    hint: "1",
    step: "any",
  },
  { name: "seed", label: "Seed", hint: "random", step: "1" },
];

/** Settings of a conversation, as fields of its form. */
export function ChatFields(
  { settings }: { readonly settings: ChatSettings },
): JSX.Element {
  return (
    <details class="settings">
      <summary>Settings</summary>
      <div class="fields">
        {fields.map(({ name, label, hint, step }) => (
          <label key={name}>
            <span>{label}</span>
            <input
              type="number"
              name={name}
              step={step}
              min="0"
              placeholder={hint}
              defaultValue={settings[name] as string}
            />
          </label>
        ))}
        <label class="check">
          <input
            type="checkbox"
            name="doSample"
            defaultChecked={settings.doSample}
          />
          <span>Sample; otherwise always the most likely token</span>
        </label>
        <label class="whole">
          <span>System message</span>
          <textarea
            name="systemMessage"
            rows={2}
            placeholder="the checkpoint's"
            defaultValue={settings.systemMessage}
          />
        </label>
      </div>
    </details>
  );
}
