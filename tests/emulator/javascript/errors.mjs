// What goes wrong, by the names of the SDK's errors; told as one JSON object.
import { ModalClient } from "modal";

const [imageId] = process.argv.slice(2);
const modal = new ModalClient();
const app = await modal.apps.fromName("from-javascript", { createIfMissing: true });
const image = await modal.images.fromId(imageId);
const name = `name-${process.pid}`;

async function errorOf(work) {
  try {
    await work();
    return null;
  } catch (error) {
    return error.constructor.name;
  }
}

const first = await modal.sandboxes.create(app, image, { command: ["sleep", "600"], name });
const said = {
  app: await errorOf(() => modal.apps.fromName("no-such-app")),
  image: await errorOf(() => modal.images.fromId("im-none")),
  name: await errorOf(() => modal.sandboxes.fromName("from-javascript", "nobody")),
  taken: await errorOf(() => modal.sandboxes.create(app, image, { command: ["true"], name })),
  volume: await errorOf(() => modal.volumes.fromName("no-such-volume")),
  secret: await errorOf(() => modal.secrets.fromName("no-such-secret")),
  file: await errorOf(() => first.filesystem.readText("/no/such/file")),
};
await first.terminate();
modal.close();
console.log(JSON.stringify(said));
