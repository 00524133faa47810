import { refusal } from "../../dashboard/access.ts";
import { BodyTooLarge, readForm } from "../../dashboard/body.ts";
import { runAgain } from "../../dashboard/jobs.ts";
import type { Handlers } from "../../dashboard/state.ts";

/** Runs that can be changed at once. */
const most = 1000;

/** Deletes, stops or repeats runs. */
export const handler: Handlers = {
  async POST(ctx) {
    const { services } = ctx.state;
    const { store, run } = services;
    let form: URLSearchParams;
    try {
      form = await readForm(ctx.req);
    } catch (error) {
      if (!(error instanceof BodyTooLarge)) throw error;
      return refusal(413, "That is too much at once.");
    }
    const ids = form.getAll("run");
    const action = form.get("action");
    if (ids.length === 0 || ids.length > most) {
      return refusal(400, `Choose 1 to ${most} runs.`);
    }
    switch (action) {
      case "delete":
        await run(store.removeAll(ids));
        return ctx.redirect("/", 303);
      case "cancel":
        for (const id of ids) await run(store.cancel(id));
        return ctx.redirect(
          ids.length === 1 ? `/runs/${encodeURIComponent(ids[0]!)}` : "/",
          303,
        );
      case "rerun": {
        const begun: string[] = [];
        try {
          for (const id of ids) begun.push(await runAgain(services, id));
        } catch (error) {
          return refusal(
            409,
            `${begun.length} of ${ids.length} begun. ${
              error instanceof Error ? error.message.split("\n")[0] : error
            }`,
          );
        }
        return ctx.redirect(
          begun.length === 1 ? `/runs/${encodeURIComponent(begun[0]!)}` : "/",
          303,
        );
      }
      default:
        return refusal(400, "There is no such action.");
    }
  },
};
