// What else a program does with sandboxes; told as one JSON object.
import { ModalClient, Probe } from "modal";

const [imageId] = process.argv.slice(2);
const modal = new ModalClient();
const app = await modal.apps.fromName("from-javascript", { createIfMissing: true });
const image = await modal.images.fromId(imageId);
const volume = await modal.volumes.ephemeral();
const said = {};

const sandbox = await modal.sandboxes.create(app, image, {
  command: ["sh", "-c", "touch /tmp/ready; sleep 600"],
  readinessProbe: Probe.withExec(["test", "-f", "/tmp/ready"]),
  volumes: { "/mnt/volume": volume },
  secrets: [await modal.secrets.fromObject({ SECRET: "kept" })],
  idleTimeoutMs: 60000,
  encryptedPorts: [8000],
});
await sandbox.waitUntilReady();
said.tunnels = Object.keys(await sandbox.tunnels());
await sandbox.setTags({ later: "yes" });
said.tags = await sandbox.getTags();

const write = await sandbox.exec(["sh", "-c", "echo $SECRET > /root/file; echo on volume > /mnt/volume/file"]);
said.written = await write.wait();
const snapshot = await sandbox.snapshotFilesystem();
const pass = await sandbox.createConnectToken();
said.token = [typeof pass.url, typeof pass.token];
await sandbox.terminate();
said.ended = await sandbox.wait();

const next = await modal.sandboxes.create(app, snapshot, {
  command: ["cat", "/root/file", "/mnt/volume/file"],
  volumes: { "/mnt/volume": volume },
});
said.next = await next.stdout.readText();

volume.closeEphemeral();
modal.close();
console.log(JSON.stringify(said));
