// The catalogue of all texts that the page shows or reads aloud, in English.
//
// A text has parameters in braces. Where a number decides its form, it is an object with a form for each plural
// category of the language (CLDR: one, few, many, other …), and `count` decides. `say` in words.js fills a text in. A
// translation is another file with the same keys.
//
// One word for one thing: people *share* their camera, microphone or screen, and what the others receive is *live*.
// Whoever may share but does not, or may not, *watches*.

export const EN = /** @type {const} */ ({
  live: 'Live',
  'people.count': { one: '1 person', other: '{count} people' },
  'duration.seconds': { one: '1 second', other: '{count} seconds' },
  'duration.minutes': { one: '1 minute', other: '{count} minutes' },

  // Why the server refuses a request, by the code of the error.
  'refused.malformed': 'The server did not accept the message.',
  'refused.unknown_message':
    'The server does not know this request. Reload the page, which may be newer or older than the server.',
  'refused.illegal_in_state': 'That is not possible at the moment.',
  'refused.rate_limited': 'That was too much in a short time. Wait a moment, then try again.',
  'refused.server_full': 'The server is full.',
  'refused.server_closing': 'The server is shutting down.',
  'refused.too_many_rooms':
    'You, or the people of your network, have reached the limit of open rooms. Try again later.',
  'refused.room_full': 'The room is full.',
  'refused.already_in_room': 'You are already in this room.',
  'refused.too_many_presenters': 'No more people can share in this room. Wait until somebody stops.',
  'refused.already_publishing': 'You already share this.',
  'refused.too_many_views': 'You are watching as many people as you can. Hide one first.',
  'refused.already_viewing': 'You are already watching this.',
  'refused.not_viewing': 'You are not watching this.',
  'refused.no_such_stream': 'This is not live any more.',
  'refused.own_stream': 'You cannot watch yourself.',
  'refused.not_your_stream': 'Only whoever shares this, or a moderator, can end it.',
  'refused.muted': 'A moderator has muted you, or your microphone is off.',
  'refused.participant_away': 'The connection of this person is lost at the moment. Try again when it is back.',
  'refused.no_such_line': 'This line was deleted, or is too old.',
  'refused.not_permitted': 'Your role in this room does not allow this.',
  'refused.no_such_participant': 'This person is no longer in the room.',
  'refused.yourself': 'You cannot do this to yourself.',
  'refused.not_banned': 'This person is not banned.',
  'refused.banned': 'A moderator does not let you enter this room for a time.',
  'refused.denied': 'A moderator did not let you in.',
  'refused.lobby_full': 'Too many people wait to enter this room.',
  'refused.locked': 'A moderator has locked the room.',
  'refused.too_many_candidates': 'The browser offered more network paths than the server takes.',
  'refused.sdp_invalid': 'The server cannot use the media that the browser offers.',
  'refused.media_unavailable': 'No media server can be reached at the moment.',
  'refused.media_full': 'The media servers cannot carry more. Try again later.',
  'refused.media_failed': 'The media server could not do this.',
  'refused.ended': 'It ended before it could begin.',
  'refused.session_unknown': 'Your earlier session is over.',
  'refused.token_invalid':
    'This room needs an invitation. Open it by the link that you were given, or ask for a new one.',
  'refused.token_expired': 'Your invitation to this room has expired. Ask for a new one.',
  'refused.password_wrong': 'This is not the password of the room.',
  'refused.room_closed': 'The room was closed.',
  'refused.detail': '{reason} ({detail})',
  'refused.no_connection': 'There is no connection to the server at the moment.',

  // Why media could not be sent or received.
  'failed.media_lost': 'The media server lost it.',
  'failed.media_unavailable': 'No media server can be reached at the moment.',
  'failed.media_full': 'The media servers cannot carry more.',
  'failed.failed': 'The media server could not keep it going.',
  'failed.no_media_path': 'No network path to the media server was found.',
  'failed.ice_servers':
    'The browser cannot use the STUN or TURN servers of this server (please tell its operator).',
  'failed.other': 'It ended ({code}).',

  // News of the room.
  'news.noMicrophone': 'No microphone was found. You send only the picture.',
  'news.microphoneEnded': 'The microphone stopped. The picture continues.',
  'news.deviceEnded': 'Your {label} was stopped by the browser or unplugged.',
  'news.endedByModerator': 'A moderator has ended your {label}.',
  'news.publishFailed': 'Your {label} does not reach the room. {reason} {next}',
  'news.viewFailed': '{name}’s {source} cannot be received. {reason} {next}',
  'news.enteredNameless': 'You enter without your name. {fault}',
  'news.notEnteredYet': 'You are not in “{room}” yet. {reason} The page tries again.',
  'news.notEntered': 'You cannot enter “{room}”. {reason}',
  'news.notSwitched': 'You cannot go to “{room}”. {reason}',
  'news.waiting': '“{room}” has a lobby. A moderator has been told that you wait, and decides whether you enter.',
  'news.serverDrains': 'The server closes in {duration}. The page then connects again as soon as it can.',
  'news.serverCloses': 'The server is shutting down. The page connects again as soon as it can.',
  'news.roomCloses': 'The room is closing. The page enters it again as soon as it can.',
  'news.roomClosesBecause': 'The room is closing ({reason}). The page enters it again as soon as it can.',
  'news.putOut': 'A moderator put you out of the room.',
  'news.putOut.banned': 'A moderator put you out of the room, and does not let you enter it for a time.',
  'news.putOut.closed': 'A moderator has closed the room.',
  'news.muted': '{by} has muted you. Turn your microphone on again when you want to speak.',
  'news.mutedAndHeld': '{by} has muted you. Raise your hand to ask for the word.',
  'news.keptMuted': 'A moderator keeps you muted. Raise your hand to ask for the word.',
  'news.mayBeHeard': 'You may turn your microphone on again.',
  'news.connectionEnded': 'The connection ended.',
  'news.connectionEnded.1008': 'The server refused the connection.',
  'news.connectionEnded.4001': 'You continued this session in another window, so it ended here.',
  'news.connectionEnded.4003': 'Too many people of your network are connected. The page tries again.',
  'next.again': 'The page tries again.',
  'next.givenUp': 'The page does not try again by itself.',

  // Addresses and rooms.
  'room.state.empty': 'Empty',
  'room.state.waiting': 'Nobody is sharing',
  'room.state.broadcasting': 'Live',
  'room.state.closing': 'Closing',
  'room.nameEmpty': 'A room’s name cannot be empty. {fault}',
  'room.nameWrong': '“{name}” cannot be a room. {fault}',
  'room.quiet': '{people}, nobody is sharing',
  'room.live': '{people}, {streams} live',

  // Devices that could not be used.
  'device.camera': 'camera and microphone',
  'device.microphone': 'microphone',
  'device.screen': 'screen',
  'device.insecure':
    'The browser lets a page use the camera, the microphone or the screen only over https or on this very computer. Open this page by its https address.',
  'device.unsupported': 'This browser cannot share the screen.',
  'device.screenNotAllowed': 'The screen is not shared, because you did not allow it or did not choose a window.',
  'device.notAllowed': 'The browser may not use the {device}. Allow it in the address bar, then try again.',
  'device.noCamera': 'No camera was found. “Microphone only” may work.',
  'device.notFound': 'No {device} was found.',
  'device.notReadable': 'The {device} cannot be used. Perhaps another program is using it.',
  'device.overconstrained': 'The {device} does not support the settings that this page needs.',
  'device.aborted': 'The {device} stopped working while it was being started. Try again.',
  'device.other': 'The {device} could not be started ({message}).',
});
