// Drives a media server with Kurento's own JavaScript client, and tells each step as a line of JSON.
//
// `node drive.mjs URL`: reads `{"offers": [publisher's, viewer's]}`, sends the answers, waits for media to flow, and
// for its socket to be cut after `{"step": "ready to be cut"}`.

import { once } from "node:events";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

const require = createRequire(import.meta.url);
// The client derives from Node's Domain in a way that Node no longer allows; without one, as in a browser, it brings
// its own.
require("node:domain").Domain = undefined;
const kurento = require("kurento-client");

const TYPES = [
  "IceCandidateFound",
  "IceGatheringDone",
  "DtlsConnectionStateChange",
  "ConnectionStateChanged",
  "MediaStateChanged",
  "MediaFlowInStateChanged",
  "MediaFlowOutStateChanged",
  "ElementConnected",
  "ElementDisconnected",
];
const say = (step, told = {}) => process.stdout.write(`${JSON.stringify({ step, ...told })}\n`);

// The client logs to the standard output, which is ours.
console.log = console.error;

const [input] = await once(createInterface({ input: process.stdin }), "line");
process.stdin.destroy();
const { offers } = JSON.parse(input);

const client = await kurento(process.argv[2]);
const manager = await client.getServerManager();
say("connected", { info: await manager.getInfo() });

const pipeline = await client.create("MediaPipeline");
const publisher = await pipeline.create("WebRtcEndpoint");
const viewer = await pipeline.create("WebRtcEndpoint");
const endpoints = [publisher, viewer];
const events = [];
for (const endpoint of endpoints) {
  for (const type of TYPES) endpoint.on(type, (event) => events.push(event));
}
await pipeline.setName("a room");
await pipeline.addTag("room", "blue");
await publisher.setMaxVideoRecvBandwidth(2000);
await publisher.connect(viewer);
say("made", {
  ids: [pipeline.id, publisher.id, viewer.id],
  name: await pipeline.getName(),
  tag: await pipeline.getTag("room"),
  bandwidth: await publisher.getMaxVideoRecvBandwidth(),
  parent: (await viewer.getMediaPipeline()).id,
  connections: (await publisher.getSinkConnections()).map(({ type, sink }) => [type, sink]),
});

const flowing = endpoints.map((endpoint, index) =>
  new Promise((resolve) => {
    endpoint.on(index ? "MediaFlowInStateChanged" : "MediaFlowOutStateChanged", ({ mediaType, state }) => {
      if (mediaType === "VIDEO" && state === "FLOWING") resolve();
    });
  }),
);
const answers = [];
for (const [index, endpoint] of endpoints.entries()) {
  answers.push(await endpoint.processOffer(offers[index]));
  await endpoint.gatherCandidates();
  const candidate = "candidate:1 1 UDP 2130706431 127.0.0.1 9 typ host";
  await endpoint.addIceCandidate(kurento.getComplexType("IceCandidate")({ candidate, sdpMid: "0", sdpMLineIndex: 0 }));
}
say("answered", { answers });

await Promise.all(flowing);
say("flowing", {
  states: [await publisher.getConnectionState(), await viewer.getMediaState()],
  flows: [await publisher.isMediaFlowingOut("VIDEO"), await viewer.isMediaFlowingIn("VIDEO")],
  stats: Object.values(await viewer.getStats("VIDEO")),
  keyframe: (await viewer.requestKeyframe()) ?? null,
});

const transaction = client.beginTransaction();
const second = client.create("MediaPipeline");
const first = second.create("WebRtcEndpoint");
const other = second.create("WebRtcEndpoint");
first.connect(other);
await client.endTransaction();
say("committed", {
  children: (await (await second).getChildren()).map(({ id }) => id),
  connected: (await (await other).getSourceConnections()).length,
});

const refused = await new Promise((resolve) => viewer.processOffer(offers[1], resolve));
say("refused", { code: refused.code, message: refused.message });

const reconnected = once(client, "reconnected");
say("ready to be cut");
const [sameSession] = await reconnected;
const disconnected = new Promise((resolve) => publisher.once("ElementDisconnected", resolve));
await publisher.disconnect(viewer, "AUDIO");
const event = await disconnected;
say("reconnected", { sameSession, name: await pipeline.getName(), event: [event.type, event.mediaType] });

await pipeline.release();
await (await second).release();
say("released", { pipelines: await manager.getPipelines(), events });
client.close();
// Its timers against repeated replies would go on for 20 s.
process.exit();
