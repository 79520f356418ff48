//! Every bound of this crate, in one place, each with its reason and with what happens when it is reached.
//! One section per module.

use std::time::Duration;

// ---- content ----------------------------------------------------------------------------------------------------

/// Longest block, in bytes: 2 MiB, what every IPFS implementation accepts (bitswap's message limit is 4 MiB) and twice
/// the largest leaf that we make. A longer one is refused before it is hashed or decoded.
pub const BLOCK_BYTES: usize = 2 * 1024 * 1024;

/// Longest content inside an identity CID, in bytes: 128, Kubo's own limit. More would let a link carry a file past the
/// block store. A longer one is refused when parsed.
pub const IDENTITY_BYTES: usize = 128;

/// Longest binary CID, in bytes: version, codec and hash code take one byte each, an identity's length two.
pub const CID_BYTES: usize = 5 + IDENTITY_BYTES;

/// Longest CID as text, in characters: base16 of the longest binary CID behind its multibase letter. Checked before
/// decoding, because base58 takes quadratic time.
pub const CID_TEXT: usize = 1 + 2 * CID_BYTES;

/// Most links of one dag-pb node: 8,192. Our profiles make at most 1,024, Kubo shards a directory at 256 KiB, which is
/// under 6,000 of the shortest entries. A node with more is refused when decoded.
pub const LINKS_PER_NODE: usize = 8_192;

/// Deepest DAG, counted in links from its root: 64. A balanced file of 2^64 bytes has depth 9, and nobody nests
/// directories that far. With [`LINKS_PER_NODE`] it bounds what a walk holds: 64 · 8,192 links of 64 bytes, 32 MiB in
/// the worst case that an attacker can build (twice that for a range), under 200 KiB for a real file. A deeper DAG is
/// refused.
pub const DAG_DEPTH: usize = 64;

/// Most distinct blocks of one walk: 2^18, a file of almost 256 GiB in our default profile and 64 GiB in Kubo's, past what
/// a page may store. It bounds the set of blocks already passed to 25 MiB (measured). A larger DAG is refused.
pub const WALK_BLOCKS: usize = 1 << 18;

// ---- identity ---------------------------------------------------------------------------------------------------

/// Longest spelling of a public key, in characters: the longest real one, a `did:key`, has 56. Checked before decoding,
/// because base58 takes quadratic time.
pub const PUBLIC_KEY_TEXT: usize = 64;

// ---- session ----------------------------------------------------------------------------------------------------

/// Streams that either side may have open at once: a thousand small blocks may be asked for at the same time, and
/// an idle stream costs a few hundred bytes.
pub const SESSION_STREAMS: u64 = 1024;
/// Bytes of one stream that may be on the way or with its reader: two of the largest blocks, so that the next one travels while
/// one is being verified and stored; at 100 MB/s it covers a round trip of 40 ms.
pub const SESSION_STREAM_WINDOW: u64 = 4 * 1024 * 1024;
/// Bytes of all streams of a session that may be on the way or unread: four streams at full speed, and what a
/// reader that stops can make us hold.
pub const SESSION_CONNECTION_WINDOW: u64 = 16 * 1024 * 1024;
/// Payload of one data frame: large enough that framing costs nothing, small enough that an urgent frame behind it
/// waits less than a millisecond at 100 MB/s.
pub const SESSION_FRAME_PAYLOAD: u64 = 64 * 1024;
/// Bytes of one stream that wait to be sent: enough to keep the wire busy while the next block is loaded.
pub const SESSION_STREAM_BUFFER: u64 = 1024 * 1024;
/// Bytes of all streams of a session that wait to be sent; every stream may hold [`SESSION_STREAM_RESERVE`] beyond it.
pub const SESSION_SEND_BUFFER: u64 = 8 * 1024 * 1024;
/// Bytes that a stream may always hold unsent, so that streams whose reader stopped cannot starve the others.
pub const SESSION_STREAM_RESERVE: u64 = 16 * 1024;

/// What every session grants before its HELLO arrives, so that opening costs no round trip: streams.
pub const SESSION_FIRST_STREAMS: u64 = 64;
/// What every session grants before its HELLO arrives: bytes of one stream.
pub const SESSION_FIRST_STREAM_WINDOW: u64 = 64 * 1024;
/// What every session grants before its HELLO arrives: bytes of all streams.
pub const SESSION_FIRST_CONNECTION_WINDOW: u64 = 256 * 1024;
/// What every session accepts before its HELLO arrives: payload of one data frame.
pub const SESSION_FIRST_FRAME_PAYLOAD: u64 = 16 * 1024;
/// Largest value that a HELLO may announce for any limit: offsets cannot overflow, and no honest peer needs more.
pub const SESSION_ANNOUNCED: u64 = 1 << 40;
/// Bytes of a HELLO frame: today's fields take under 60; the rest is room for later ones, which are ignored here.
pub const SESSION_HELLO_FRAME: u64 = 1024;

// ---- pipe -------------------------------------------------------------------------------------------------------

/// Bytes of a pipe that may be on their way without an acknowledgement, and so the most that a broken path makes us send
/// again: just under 2 MiB, twice what a data channel buffers, so that waiting for acknowledgements costs nothing up to
/// 100 MB/s at 20 ms. Also what a pipe without a path holds. When they are reached, sending waits.
pub const PIPE_UNACKNOWLEDGED: u64 = 2 * 1024 * 1024 - 64 * 1024;
/// Bytes that may be under way on a path of which nothing is known yet: half of what a home router keeps in line.
pub const PIPE_FIRST_WINDOW: u64 = 128 * 1024;
/// The same where a round trip is shorter than [`PIPE_LANE_WAY`], since two browsers of one machine or one home are busy only from there on (see
/// [`PIPE_TURNS_WINDOW`]): three quarters of what a home router keeps.
pub const PIPE_FIRST_WINDOW_NEARBY: u64 = 192 * 1024;
/// Bytes that may be under way on any path: one large message of a data channel. At 10 Mbit/s it takes 50 ms.
pub const PIPE_LEAST_WINDOW: u64 = 64 * 1024;
/// For how long bytes may stand in line beyond the shortest round trip of a path, or half a round trip, if that is more: it is what urgent bytes wait for.
pub const PIPE_SLACK: Duration = Duration::from_millis(10);
/// The same for as long as nobody waits for anything urgent, on a path that has a way to speak of: a carrier that had more under way when a packet was
/// lost still fills the link when it has halved that. Shorter than the shortest line of a router, 40 ms.
pub const PIPE_CALM_SLACK: Duration = Duration::from_millis(30);
/// What a path delivers in this time may always be under way, up to [`PIPE_TURNS_WINDOW`]: browser threads take turns of some milliseconds, and on a
/// machine that has too much to do a byte needs several of them.
pub const PIPE_TURNS: Duration = Duration::from_millis(50);
/// As much as keeps two browsers busy that share two cores: with 192 KiB to 2 MiB under way bytes go equally fast there, what is urgent takes
/// 15 ms (192 KiB), 20 (256) or 50 (2 MiB); with 128 KiB bytes go at a third of the rate.
pub const PIPE_TURNS_WINDOW: u64 = 256 * 1024;
/// What a path delivers in this time is put together at once for its carrier: more would stand in front of what is urgent, …
pub const PIPE_BATCH: Duration = Duration::from_millis(4);
/// … less would be small messages. Bytes.
pub const PIPE_LEAST_BATCH: usize = 4 * 1024;
/// Bytes put together at once for a fast path: two large messages of a data channel.
pub const PIPE_MOST_BATCH: usize = 128 * 1024;
/// A path is fast from this rate on, in bytes a second: 64 Mbit/s. What is put together for it leaves within 16 ms.
pub const PIPE_FAST: f64 = 8e6;
/// Silence after which the other side is asked for an acknowledgement: it sends none by itself for the last few bytes.
pub const PIPE_ASK: Duration = Duration::from_millis(500);
/// How long a path may be silent at least before another is used: threads of a busy machine take turns, and a source pauses for its disk.
pub const PIPE_LEAST_PATIENCE: Duration = Duration::from_secs(2);
/// How long one may be silent of which no round trip is known.
pub const PIPE_FIRST_PATIENCE: Duration = Duration::from_secs(4);
/// How long at most, however long its round trips are: a browser itself waits up to half a minute.
pub const PIPE_MOST_PATIENCE: Duration = Duration::from_secs(10);
/// Bytes that a path must have taken to count as moving: more than a probe.
pub const PIPE_MOVES: u64 = 1024;
/// Bytes received before they are acknowledged unasked: seldom enough to cost nothing, often enough that the sender never
/// waits for it.
pub const PIPE_ACKNOWLEDGE: u64 = 256 * 1024;
/// Paths that may carry one pipe at once: [`PIPE_LANES_LONG`] direct ones, and relayed ones, dialled from both sides, each with a successor. More are refused.
pub const PIPE_PATHS: usize = 12;
/// Direct paths by which the bytes of one pipe go at once: 4. Browsers opened six connections to a server for years, and where one in a hundred packets
/// is lost, four reach what TCP does.
pub const PIPE_LANES: usize = 4;
/// The same where each round trip takes [`PIPE_LANE_LONG`] or more: 8. Losses leave each of them 33 kB/s by satellite; five megabytes came at 77 to 79 kB/s by
/// four, and at 100 to 106 by eight.
pub const PIPE_LANES_LONG: usize = 8;
/// Bytes that each further one may have under way beyond what its carrier delivers: what a channel holds and a piece for it, and room to find out
/// whether it could deliver more. With 16 KiB, two of them filled the window over a satellite, and nobody saw that losses held them back.
pub const PIPE_LANE_HOLDS: u64 = 32 * 1024;
/// In how many round trips in a row a path must have been held back by losses before others are opened beside it: until then it may have been beginning
/// slowly, or a thread may have had its turn late.
pub const PIPE_LANE_AFTER: u32 = 3;
/// How long each of these takes at least: threads of a browser take turns.
pub const PIPE_LANE_ROUND: Duration = Duration::from_millis(25);
/// The shortest round trip of a path beside which another is opened: on shorter ones it is processors that are waited for.
pub const PIPE_LANE_WAY: Duration = Duration::from_millis(8);
/// From this round trip on others are opened as soon as there is enough to send: beginning slowly costs seconds, and making a connection as many.
pub const PIPE_LANE_LONG: Duration = Duration::from_millis(280);
/// Bytes that must wait at least before others are opened.
pub const PIPE_LANE_WAITS: u64 = 256 * 1024;
/// Round trips that it takes to make a connection: what leaves sooner needs none.
pub const PIPE_LANE_MAKING: f64 = 8.0;
/// For how long nothing must have gone or come before paths are made for what comes next: longer than the pauses of a transfer, far shorter than a person
/// needs to ask for something else.
pub const PIPE_READY_AFTER: Duration = Duration::from_millis(500);
/// None are made for what comes next where a page would have more connections than this, those under way included: a quarter of [`CONNECTIONS`], so that
/// whoever serves a crowd makes one for each.
pub const PIPE_READY_CONNECTIONS: usize = CONNECTIONS / 4;
/// For how long bytes go by one path only when something urgent was sent, at least: a person who waits for one thing asks for the next within it.
pub const PIPE_LANES_REST: Duration = Duration::from_secs(1);
/// The same in round trips, if that is longer: the first urgent thing waits for what is under way by the other paths, where far away something always was lost.
pub const PIPE_LANES_REST_ROUND_TRIPS: u32 = 6;
/// Pieces of one pipe that may be held behind gaps: far more than eight lanes leave of [`PIPE_UNACKNOWLEDGED`]. Whoever makes more is dropped.
pub const PIPE_GAPS: usize = 4_096;
/// Longest greeting, in bytes: today's take 18; the rest is room for later fields, which are ignored here.
pub const PIPE_GREETING: u64 = 256;
/// Longest record of any kind, in bytes: longer than all that may be unacknowledged would make no sense.
pub const PIPE_RECORD: u64 = 2 * 1024 * 1024;

// ---- exchange ---------------------------------------------------------------------------------------------------

/// Longest request, in bytes: kind, the longest CID, scope with a range, two counts come to under 190. A longer one is
/// refused before it is read on.
pub const EXCHANGE_REQUEST: usize = 256;
/// Longest name of what is offered, in bytes: more than a list shows, and with the CID of a file it fits into a request.
pub const EXCHANGE_NAME: usize = 128;
/// What one peer may offer at once: the files that a person has chosen together.
pub const EXCHANGE_OFFERS: u32 = 8;
/// Afterwards, one thing in this time.
pub const EXCHANGE_OFFER: Duration = Duration::from_secs(1);

// ---- connections: the defaults of a page --------------------------------------------------------------------------

/// Open connections: 128. A page that serves a crowd has dozens; browsers begin to fail at some hundreds of WebRTC ones.
/// When reached, the least useful one makes room, or the newcomer is refused.
pub const CONNECTIONS: usize = 128;
/// Connections to one peer: 10. [`PIPE_LANES_LONG`] direct ones and a relayed one stand side by side for a while, and both sides may dial at
/// once. Beyond, the peer loses its own least useful one.
pub const CONNECTIONS_PER_PEER: usize = 10;
/// Connections from one network: 32. A page sees only relays' addresses, so this bounds those who reach it otherwise.
pub const CONNECTIONS_PER_NETWORK: usize = 32;
/// Dials under way: 64, what libp2p's own guide gives. Further ones are refused, and whoever asked tries again.
pub const DIALS: usize = 64;
/// Others' dials under way, each of which costs a handshake. A page cannot abort one, so further ones are refused.
pub const HANDSHAKES: usize = 64;
/// How long a network is suspect one of whose handshakes came to nothing: a minute. Whoever lost a connection on the way comes back
/// sooner, and it costs an honest one nothing as long as there is room.
pub const SUSPECT: Duration = Duration::from_secs(60);
/// Suspect networks that are remembered: as many as a large botnet has, 2 MB. Beyond it those are forgotten that were suspect first.
pub const SUSPECT_NETWORKS: usize = 16_384;
/// How long a connection may be of no use: half a minute, enough to repeat a signalling exchange.
pub const CONNECTION_IDLE: Duration = Duration::from_secs(30);
/// How long a connection must have been of no use before a stranger may take its place: 5 s. Shorter, and a crowd of strangers would
/// rotate through all places before anybody got something done.
pub const CONNECTION_SETTLED: Duration = Duration::from_secs(5);
/// A pause between two ticks of a second that means that this node slept: 10 s. Browsers slow the timers of hidden pages down
/// to one a minute, and that, too, says nothing of the peers.
pub const SLEEP: Duration = Duration::from_secs(10);

// ---- addresses --------------------------------------------------------------------------------------------------

/// Longest address dialled on others' word, in bytes: 1,280. One of WebTransport with the certificate hashes of a year has 1,070.
pub const ADDRESS_BYTES: usize = 1_280;
/// Addresses of one peer that are tried: enough for some relays and transports, too few to scan with.
pub const ADDRESSES_PER_PEER: usize = 8;

// ---- choice -----------------------------------------------------------------------------------------------------

/// Within which half of what was measured is forgotten: 1 s, so that after 5 s of another speed 97 % of the rate is the new one.
pub const CHOICE_HALF_LIFE: Duration = Duration::from_secs(1);
/// Seconds of being asked after which a rate is believed: the first round trip says more of latency than of capacity.
pub const CHOICE_LEAST_SECONDS: f64 = 0.05;
/// The least time in seconds by which what is not believed yet is judged: a clock of a browser ticks in milliseconds.
pub const CHOICE_LEAST_TIME: f64 = 0.001;
/// The least weight, as a share of the best one's: 2 % of requests find out whether a slow candidate has recovered.
pub const CHOICE_LEAST_SHARE: f64 = 0.02;
/// The rest after a first failure: half a second, for a hiccup.
pub const CHOICE_FIRST_REST: Duration = Duration::from_millis(500);
/// The longest rest: half a minute. A person who repairs something should not wait longer for it to be noticed.
pub const CHOICE_LONGEST_REST: Duration = Duration::from_secs(30);
/// How much more than the present one another must promise to take over a request under way: twice as much. What one delivers varies by less
/// from second to second, and to change costs a round trip and what is on its way.
pub const CHOICE_GAIN: f64 = 2.0;
/// How long a request stays with one before another may take it over: 3 s, in which a rate shows; doubled by each change, so that many who
/// do not have what is asked for cannot break it into pieces.
pub const CHOICE_STAY: Duration = Duration::from_secs(3);
/// Candidates remembered: 1,024. Beyond it, who was not asked for longest is forgotten, and counts as unknown again.
pub const CHOICE_PEERS: usize = 1_024;

// ---- foreign relays -----------------------------------------------------------------------------------------------

/// Bytes that may go through a relay that the settings do not name, in [`FOREIGN_RELAY_PERIOD`]: 64 MiB, so that pictures and documents come without
/// a direct path, too, and half of what our relay gives one circuit. libp2p's default for relays is 128 KiB: many end it themselves.
pub const FOREIGN_RELAY_BYTES: u64 = 64 * 1024 * 1024;
/// For how long: an hour, as long as relays keep a reservation or a circuit.
pub const FOREIGN_RELAY_PERIOD: Duration = Duration::from_secs(3_600);
/// Relays of others of which it is known how much went through them: more than a page can use in an hour.
pub const FOREIGN_RELAYS: usize = 64;

// ---- reservations -----------------------------------------------------------------------------------------------

/// Relays that are remembered as possible at once: sixteen entries of the settings with a few relays each. Beyond it
/// whoever is not in use and failed most makes room.
pub const RESERVATION_CANDIDATES: usize = 64;
/// Addresses of one relay that are tried; the rest is ignored.
pub const RESERVATION_ADDRESSES: usize = 8;
/// Relays on their way beyond those that are wanted: a slow one does not keep others from being tried.
pub const RESERVATION_SURPLUS: usize = 2;
/// How long dialling and reserving may take together. Longer than a TLS connection over a bad mobile link.
pub const RESERVATION_PATIENCE: Duration = Duration::from_secs(20);
/// After this time on its way a relay counts as slow, and another one is tried beside it.
pub const RESERVATION_HASTE: Duration = Duration::from_millis(2_500);
/// How old an answer of a source is, at least, when it is asked again because an address of it is out of date.
pub const RESERVATION_OUTDATED: Duration = Duration::from_secs(10);
/// How often a reservation is renewed at the longest. Relays grant one hour (go-libp2p, rust-libp2p, ours) or two
/// (js-libp2p); a third of the shortest leaves two more tries.
pub const RESERVATION_RENEWAL: Duration = Duration::from_secs(20 * 60);
/// How long a relay may take to answer a probe: a round trip of a bad mobile link after its radio woke up.
pub const RESERVATION_PROBE: Duration = Duration::from_secs(3);
/// How often a relay is asked where nobody tells the page that its network changed: with the time for an answer and that for a new connection, the
/// page is reachable by its new address within ten seconds. It costs 120 bytes a second.
pub const RESERVATION_WATCH: Duration = Duration::from_millis(2_500);
/// A reservation that was granted or confirmed within this time is not asked for again on waking.
pub const RESERVATION_FRESH: Duration = Duration::from_secs(30);
/// How long after waking a lost connection counts as one that was lost while asleep.
pub const RESERVATION_AWAKE: Duration = Duration::from_secs(10);
/// Over which time the clients of a relay that ended come back. A person barely notices two seconds, and 10,000
/// clients in four are what one core can shake hands with.
pub const RESERVATION_SPREAD: Duration = Duration::from_secs(4);
/// Within what a relay is tried again while a transfer stands still for want of it: as often, each page dials about once a second.
pub const RESERVATION_NEEDED: Duration = Duration::from_secs(1);
/// The longest wait after the first failure; each further one doubles it. As long as the spread: with 2 s, those who
/// found a closed door came back as a second crowd, and the peak was above four times the mean.
pub const RESERVATION_FIRST_WAIT: Duration = Duration::from_secs(4);
/// The longest wait. A person who reads "the relay is down" and starts it again should not wait longer for the page.
pub const RESERVATION_LONGEST_WAIT: Duration = Duration::from_secs(8);
/// The longest wait after a relay said no: its places become free when other pages close.
pub const RESERVATION_REFUSED_WAIT: Duration = Duration::from_secs(30);
/// After this time a failure is forgotten.
pub const RESERVATION_FORGIVEN: Duration = Duration::from_secs(300);
/// Relays that are remembered for later visits. The oldest make room.
pub const REMEMBERED_RELAYS: usize = 16;
/// Addresses of each: one by UDP, one by TCP.
pub const REMEMBERED_ADDRESSES: usize = 2;
/// Longest of them, in characters: one with the certificate hashes of a year has 1,650.
pub const REMEMBERED_ADDRESS_TEXT: usize = 2_048;
/// How long, in seconds: 30 days. A relay that was not met for a month has probably moved.
pub const REMEMBERED_SECONDS: u64 = 30 * 86_400;
/// Longest address that is taken from a TXT record, in characters.
pub const ADDRESS_TEXT: usize = 512;
/// How much earlier than a WebSocket WebTransport is dialled where it worked before: RFC 8305's delay between two attempts.
pub const WAYS_HEAD_START: Duration = Duration::from_millis(250);
/// How long WebTransport may take: a browser on a bad mobile link has an answer by then, and who waits in the office behind a firewall has its WebSocket.
pub const WAYS_PATIENCE: Duration = Duration::from_secs(5);
/// What failed sooner than this was refused; what took as long was not answered. Longer than a round trip by satellite.
pub const WAYS_ANSWER: Duration = Duration::from_millis(1_500);
/// The rest of WebTransport after a first failure; each further one doubles it.
pub const WAYS_FIRST_REST: Duration = Duration::from_secs(4);
/// The longest rest. Chromium counts sessions that failed, and opens no more after 64: a day of a relay that is down makes 57.
pub const WAYS_LONGEST_REST: Duration = Duration::from_secs(1_800);
/// How deep `dnsaddr` names may lead to further names: the public bootstrap list has two levels.
pub const DNSADDR_DEPTH: usize = 4;
/// Names that one `dnsaddr` may make us look up.
pub const DNSADDR_LOOKUPS: usize = 16;
/// Addresses that one `dnsaddr` may give.
pub const DNSADDR_ADDRESSES: usize = 64;

// ---- nearby -----------------------------------------------------------------------------------------------------

/// Longest name of a device, in bytes: what a person recognises, in every script, and what fits on a phone's screen.
pub const NEARBY_NAME: usize = 64;
/// Devices of one group: 64, a list of 6 kB. A home has a dozen, a person looks through no more; a school or a mobile network,
/// which may be one address, is too large to be "near". Further ones are refused.
pub const NEARBY_DEVICES_PER_GROUP: usize = 64;
/// Devices that one relay lists in all: as many as it has reservations. Further ones are refused.
pub const NEARBY_DEVICES: usize = 10_000;
/// How long a device is listed after it announced itself: 150 s, so that a hidden page, whose timers fire once a minute, stays.
pub const NEARBY_LIFETIME: Duration = Duration::from_secs(150);
/// How often it announces itself again. 10,000 devices make 333 messages of three bytes a second.
pub const NEARBY_RENEWAL: Duration = Duration::from_secs(30);
/// How long after a refusal, or a stream that ended, it tries again.
pub const NEARBY_AGAIN: Duration = Duration::from_secs(30);
/// Announcements of one device at once: somebody who tries out names. Beyond [`NEARBY_ANNOUNCEMENT`], it is dropped.
pub const NEARBY_ANNOUNCEMENTS: u32 = 8;
/// Afterwards, one in this time: three times as often as renewals are due.
pub const NEARBY_ANNOUNCEMENT: Duration = Duration::from_secs(10);
/// Devices that may join one group at once: all of it, twice, after a restart of the relay. Each is told the list.
pub const NEARBY_JOINS: u32 = 128;
/// Afterwards, one in this time.
pub const NEARBY_JOIN: Duration = Duration::from_secs(1);
/// The least time between two lists to the same group: two devices see each other come within a second or so.
pub const NEARBY_UPDATE: Duration = Duration::from_secs(1);
/// What each device of the group adds to it: in a full group a list of 6 kB goes to 64 devices every 7.4 s, 54 kB/s at the most.
pub const NEARBY_UPDATE_EACH: Duration = Duration::from_millis(100);

// ---- ICE servers ------------------------------------------------------------------------------------------------

/// Bytes of a relay's answer about its servers: twice what it has today.
pub const ICE_ANSWER: usize = 512;
/// Bytes of a name or password in it: a number, a colon and a PeerId.
pub const ICE_TEXT: usize = 128;
/// Relays whose servers the browser is given: it asks all of them for every connection, and warns from five servers on.
pub const ICE_RELAYS: usize = 2;
