import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";

/** From a day to a day: of the browser's time zone, and of the server's where no scripts run. */
export function Days(
  { from, to }: { readonly from: string; readonly to: string },
): JSX.Element {
  const [zone, setZone] = useState<string>();
  const [days, setDays] = useState({ from, to });
  useEffect(
    () => setZone(Intl.DateTimeFormat().resolvedOptions().timeZone),
    [],
  );
  const field = (name: "from" | "to", text: string) => (
    <label>
      <span>{text}</span>
      <input
        type="date"
        name={name}
        value={days[name]}
        onInput={({ currentTarget: { value } }) =>
          setDays((days) => ({ ...days, [name]: value }))}
      />
    </label>
  );
  return (
    <>
      {field("from", "From")}
      {field("to", "To")}
      {zone !== undefined && days.from + days.to !== "" && (
        <input type="hidden" name="zone" value={zone} />
      )}
    </>
  );
}
