// The main path of a program that uses sandboxes; told as one JSON object.
import { ModalClient } from "modal";

const [imageId, gpu] = process.argv.slice(2);
const modal = new ModalClient();
const app = await modal.apps.fromName("from-javascript", { createIfMissing: true });
const image = await modal.images.fromId(imageId);
const mark = `mark-${process.pid}`;
const said = {};

const sandbox = await modal.sandboxes.create(app, image, {
  command: ["sh", "-c", 'echo "out $WORD"; echo err >&2; cat; exit 7'],
  env: { WORD: "from env" },
  name: mark,
  tags: { mark },
  ...(gpu ? { gpu } : {}),
});
said.id = sandbox.sandboxId;

const command = await sandbox.exec(["sh", "-c", 'echo "$WORD $MORE $(pwd)"; cat; exit 3'], {
  env: { MORE: "and more" },
  workdir: "/tmp",
});
await command.stdin.writeText("fed");
await command.stdin.close();
said.command = { output: await command.stdout.readText(), code: await command.wait() };

await sandbox.filesystem.writeText("some words", "/root/deep/words");
said.file = await sandbox.filesystem.readText("/root/deep/words");
said.files = (await sandbox.filesystem.listFiles("/root/deep")).map((file) => file.name);

said.listed = [];
for await (const found of modal.sandboxes.list({ appId: app.appId, tags: { mark } })) {
  said.listed.push(found.sandboxId);
}
said.named = (await modal.sandboxes.fromName("from-javascript", mark)).sandboxId;
said.tags = await sandbox.getTags();

await sandbox.stdin.writeText("typed");
await sandbox.stdin.close();
said.stdout = await sandbox.stdout.readText();
said.stderr = await sandbox.stderr.readText();
said.code = await sandbox.wait();

const endless = await modal.sandboxes.create(app, image, { command: ["sleep", "600"], ...(gpu ? { gpu } : {}) });
said.before = await endless.poll();
await endless.terminate();
said.after = await endless.wait();

modal.close();
console.log(JSON.stringify(said));
