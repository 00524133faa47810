import assert from "node:assert/strict";
import { eventsOf } from "../pipeline/store_contract.ts";
import {
  browserTest,
  checkAccessible,
  checkNoOverflow,
} from "./browser_kit.ts";

browserTest(
  "the table of runs",
  {
    fill: (store) => {
      for (const event of eventsOf("r1", 1000)) store.record(event);
      return store.flush("r1");
    },
  },
  async ({ open }) => {
    const page = await open("/");
    await page.waitForSelector("[data-hydrated=true]");
    assert.equal(await page.locator("tbody tr").count(), 1);
    await checkAccessible(page);
    for (
      const look of [{ dark: true }, { width: 380 }, { scriptless: true }]
    ) {
      const other = await open("/", look);
      assert.equal(await other.locator("tbody tr").count(), 1);
      await checkNoOverflow(other);
      if (!("scriptless" in look)) await checkAccessible(other);
    }
  },
);
