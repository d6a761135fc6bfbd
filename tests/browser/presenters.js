// Many presenters in one page, each with a connection of its own: they send a drawn picture, and view nothing.
// `present(room, name, options)` answers with an index; `tell(index, message)` sends a message and answers with the reply.
// `speak(index, speaks)` lets one of them be heard, or be silent.

const presenters = [];

window.present = async (room, name, {source = 'camera', sound = true, width = 320, height = 240, rate = 5, look} = {}) => {
  // With people.js, a `look` is one of the people that it draws.
  const stream = look === undefined ? draw(source, width, height, rate) : pictured(source, look);
  const microphone = sound ? (await navigator.mediaDevices.getUserMedia({audio: true})).getAudioTracks()[0] : undefined;
  if (microphone) {
    // The sound of Chromium's microphone beeps, which the media server takes for speech.
    microphone.enabled = false;
    stream.addTrack(microphone);
  }
  const socket = new WebSocket(`${location.origin.replace('http', 'ws')}/ws`, 'roomfsm.v1');
  const waiting = new Map();
  const ask = (message) =>
    new Promise((resolve, reject) => {
      const ref = waiting.size + 1;
      waiting.set(ref, (reply) => (reply.type === 'error' ? reject(new Error(JSON.stringify(reply))) : resolve(reply)));
      socket.send(JSON.stringify({...message, ref}));
    });
  const peer = new RTCPeerConnection({bundlePolicy: 'max-bundle'});
  socket.onmessage = ({data}) => {
    const message = JSON.parse(data);
    waiting.get(message.ref)?.(message);
    if (message.type === 'candidate') void peer.addIceCandidate(message);
  };
  await new Promise((resolve) => socket.addEventListener('open', resolve));
  setInterval(() => void ask({type: 'ping'}), 5000);
  const {you} = await ask({type: 'join', room, name});
  for (const track of stream.getTracks()) peer.addTransceiver(track, {direction: 'sendonly', streams: [stream]});
  const asked = new Promise((resolve) => {
    peer.onicecandidate = async ({candidate}) => {
      await asked;
      if (candidate) socket.send(JSON.stringify({type: 'candidate', stream: `${you}.${source}`, candidate: candidate.candidate,
                                                 sdpMid: candidate.sdpMid, sdpMLineIndex: candidate.sdpMLineIndex}));
    };
    peer.asked = resolve;
  });
  await peer.setLocalDescription();
  const answered = ask({type: 'publish', source, sdp: peer.localDescription.sdp});
  peer.asked();
  await peer.setRemoteDescription({type: 'answer', sdp: (await answered).sdp});
  await ask({type: 'media', microphone: sound, camera: source === 'camera'});
  return presenters.push({you, ask, socket, peer, microphone}) - 1;
};

window.tell = (index, message) => presenters[index].ask(message);
window.speak = (index, speaks) => void (presenters[index].microphone.enabled = speaks);
window.idOf = (index) => presenters[index].you;

function pictured(source, look) {
  return source === 'screen' ? window.screenOf() : window.cameraOf(look);
}

function draw(source, width, height, rate) {
  const canvas = Object.assign(document.createElement('canvas'), {width, height});
  const context = canvas.getContext('2d');
  let count = presenters.length * 40;
  const frame = () => {
    count += 1;
    context.fillStyle = source === 'screen' ? '#f4f4f4' : `hsl(${count % 360} 40% 60%)`;
    context.fillRect(0, 0, width, height);
    context.fillStyle = '#345';
    context.fillRect((count * 7) % width, height / 3, width / 5, height / 3);
  };
  frame();
  setInterval(frame, 1000 / rate);
  return canvas.captureStream(rate);
}

undefined;
