"""W&B's offline runs, read back from the files that its client writes."""

import json
import struct
import time

BLOCK = 32 * 1024
FULL, FIRST, MIDDLE, LAST = 1, 2, 3, 4


def messages(path):
    """The records of a ``.wandb`` file: LevelDB's log format after W&B's own seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record as Message

    data, at, parts = path.read_bytes(), 7, []
    assert data[:4] == b":W&B"
    while at + 7 <= len(data):
        left = BLOCK - at % BLOCK
        if left < 7:  # too little for a header: the rest of a block is empty
            at += left
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        if at + 7 + length > len(data):
            return  # it is being written
        assert kind in {FULL, FIRST, MIDDLE, LAST}
        parts.append(data[at + 7 : at + 7 + length])
        at += 7 + length
        if kind in {FULL, LAST}:
            yield Message.FromString(b"".join(parts))
            parts = []


def finished(path):
    """All messages of a run that was ended; W&B's service empties its buffer an instant after it says so."""
    for _ in range(200):
        found = list(messages(path))
        if any(message.HasField("exit") for message in found):
            return found
        time.sleep(0.05)
    raise AssertionError(f"{path} has no end")


def offline_runs(folder):
    """What a user would see on W&B of every run in a folder, oldest first; ``files`` is the folder of its media."""
    found = []
    for path in sorted((folder / "wandb").glob("offline-run-*/*.wandb")):
        seen = {"config": {}, "history": {}, "system": set(), "files": path.parent / "files"}
        for message in finished(path):
            if message.HasField("run"):
                seen["run"] = message.run
            for change in (message.run.config, message.config):
                seen["config"] |= {
                    item.key or item.nested_key[0]: json.loads(item.value_json) for item in change.update
                }
            for item in message.history.item:
                seen["history"][item.key or "/".join(item.nested_key)] = json.loads(item.value_json)
            seen["system"] |= {item.key for item in message.stats.item}
            if message.HasField("exit"):
                seen["exit"] = message.exit.exit_code
        found.append(seen)
    return found
