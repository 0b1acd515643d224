"""Drives many real python-socketio clients on command: the same lines as agent.mjs, where its words are told.

The synchronous client is used as it comes. It handles every message on a thread of its own, so the order of
what this agent tells is nearly, but not exactly, the order of arrival.
"""

import base64
import itertools
import json
import sys
import threading
import time

import socketio
import websockets.exceptions
import websockets.sync.client

sockets = {}
sequence = itertools.count(1)
stdout_lock = threading.Lock()


def as_text(value):
    return {"$base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else str(value)


def tell(socket, what, **more):
    with stdout_lock:
        line = {"seq": next(sequence), "ms": time.monotonic() * 1000, "socket": socket, "what": what, **more}
        sys.stdout.write(json.dumps(line, default=as_text) + "\n")
        sys.stdout.flush()


def with_bytes(value):
    if isinstance(value, list):
        return [with_bytes(v) for v in value]
    if isinstance(value, dict):
        if isinstance(value.get("$bytes"), int):
            return bytes(value["$bytes"])
        return {k: with_bytes(v) for k, v in value.items()}
    return value


def payload(args):
    """python-socketio sends a tuple as several arguments and None as none at all."""
    args = tuple(with_bytes(args))
    return args[0] if len(args) == 1 else args or None


def connect(socket, url, client=None, transports=None, options=None, hello=()):
    options = dict(options or {})
    if client == "websockets":
        sockets[socket] = Line(socket, url, **options)
        return
    auth = options.pop("auth", None)
    sio = socketio.Client(**options)
    sockets[socket] = sio

    @sio.on("connect")
    def on_connect():
        tell(socket, "connected", id=sio.get_sid(), transport=sio.transport())
        for event, *args in hello:
            sio.emit(event, payload(args))

    @sio.on("disconnect")
    def on_disconnect(reason):
        tell(socket, "disconnected", reason=reason)

    @sio.on("connect_error")
    def on_connect_error(data=None):
        message = data.get("message") if isinstance(data, dict) else str(data)
        more = data.get("data") if isinstance(data, dict) else None
        tell(socket, "connect_error", message=message, data=more)

    @sio.on("*")
    def on_any(event, *args):
        tell(socket, "event", event=event, args=args)

    def dial():
        try:
            sio.connect(url, auth=auth, transports=transports, wait_timeout=30)
        except socketio.exceptions.ConnectionError as error:
            tell(socket, "connect_failed", message=str(error))

    threading.Thread(target=dial, daemon=True).start()


class Line:
    """A raw WebSocket, by the library `websockets`; see agent.mjs."""

    def __init__(self, socket, url, path="/ws/notify", **options):
        self.line, self.socket = None, socket
        threading.Thread(target=self.run, args=(url.replace("http", "ws", 1) + path, options), daemon=True).start()

    def run(self, url, options):
        try:
            self.line = websockets.sync.client.connect(url, compression=None, **options)
        except websockets.exceptions.InvalidStatus as refused:
            return tell(self.socket, "connect_error", status=refused.response.status_code)
        tell(self.socket, "connected")
        try:
            for text in self.line:
                message = json.loads(text)
                tell(self.socket, "event", event=message.get("type", "?"), args=[message])
        except websockets.exceptions.ConnectionClosedError:
            pass
        tell(self.socket, "disconnected", code=self.line.close_code, reason=self.line.close_reason)

    def emit(self, event, args):
        more = args[0] if args else {}
        self.line.send(more if event in ("$text", "$bytes") else json.dumps({"type": event, **more}))


def emit(socket, event, args):
    if isinstance(sockets[socket], Line):
        return sockets[socket].emit(event, with_bytes(args))
    sockets[socket].emit(event, payload(args))


def emit_ack(socket, event, args, call):
    sockets[socket].emit(event, payload(args), callback=lambda *answer: tell(socket, "ack", call=call, args=answer))


def burst(socket, call, booking, count, first=1, acks=False, window=None, event="booking_notification"):
    sio, room = sockets[socket], threading.Semaphore(window or count)
    counts = {"answered": 0, "sent": 0}
    over = threading.Event()

    def answered(*args):
        with stdout_lock:
            counts["answered"] += 1
        tell(socket, "ack", call=call, args=args)
        room.release()
        if counts["answered"] == count:
            over.set()

    def run():
        try:
            for number in range(first, first + count):
                while acks and not room.acquire(timeout=0.05) and sio.connected:
                    pass
                sio.emit(event, {**booking, "booking_id": number}, callback=answered if acks else None)
                counts["sent"] += 1
            while acks and sio.connected and not over.wait(0.05):
                pass
        except socketio.exceptions.SocketIOError:
            pass  # the socket went away: the burst ends here
        tell(socket, "burst", call=call, **counts)

    threading.Thread(target=run, daemon=True).start()


def disconnect(socket):
    sio = sockets[socket]
    if isinstance(sio, Line):
        return threading.Thread(target=sio.line.close, daemon=True).start()

    def leave():
        # Before `connect` has returned, python-socketio would leave without a word to its handlers.
        deadline = time.monotonic() + 5
        while not sio.connected and time.monotonic() < deadline:
            time.sleep(0.005)
        sio.disconnect()

    threading.Thread(target=leave, daemon=True).start()


COMMANDS = {"connect": connect, "emit": emit, "emit_ack": emit_ack, "burst": burst, "disconnect": disconnect}

for line in sys.stdin:
    command = json.loads(line)
    COMMANDS[command.pop("do")](**command)
