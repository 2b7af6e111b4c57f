// Sends what stands on stdin, {"sendings": [[event, ...], ...]}, each sending in one call; prints the ids, or the error.
import { Inngest } from "inngest";
import { readFileSync } from "node:fs";

const { sendings } = JSON.parse(readFileSync(0, "utf8"));
const client = new Inngest({ id: "shop" });
const answers = [];
for (const events of sendings) {
  try {
    answers.push((await client.send(events)).ids);
  } catch (error) {
    answers.push({ error: String(error.message ?? error) });
  }
}
console.log(JSON.stringify(answers));
