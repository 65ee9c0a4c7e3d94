"""PyTorch peers of `astrocytic bench --against benches/pytorch/peers.py`.

One JSON request per line on stdin, one JSON reply per line on stdout. A request
that is unknown or cannot run is answered by {"error": "one line"}.
`python peers.py --check` compares every attention peer with an f64 reference.
PEER_THREADS sets the number of threads; without it every core is used.
"""

import ctypes
import gc
import importlib.util
import itertools
import json
import os
import statistics
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

CHUNK = 64


# Attention peers. Each is a function of (seq_len, head_dim, batch) that prepares
# whatever its users keep between calls and returns attend(q, k, v).


def feature_map(x):
    """elu(x) + 1, the positive feature map of linear attention."""
    return F.elu(x).add_(1)


def torch_softmax(*_):
    """Fused causal softmax attention, [B, H, T, d]."""
    return lambda q, k, v: F.scaled_dot_product_attention(q, k, v, is_causal=True)


def torch_linear(*_):
    """Normalised causal linear attention in plain tensor operations, [B, H, T, d]."""
    causal = torch.ones(CHUNK, CHUNK).tril_()

    def attend(q, k, v):
        batch, heads, seq_len, dim = q.shape
        q, k = (feature_map(x).reshape(-1, seq_len, dim) for x in (q, k))
        # A column of ones makes every product with the values carry its own row
        # sum, so the normaliser needs no products of its own.
        v = F.pad(v, (0, 1), value=1.0).view(-1, seq_len, dim + 1)
        outputs, state = [], None
        for q, k, v in zip(*(x.split(CHUNK, dim=1) for x in (q, k, v))):
            rows = q.shape[1]
            o = torch.bmm(torch.bmm(q, k.mT).mul_(causal[:rows, :rows]), v)
            if state is None:
                state = torch.bmm(k.mT, v)
            else:
                o.baddbmm_(q, state)
                state = torch.baddbmm(state, k.mT, v)
            outputs.append(o[..., :-1] / o[..., -1:])
        return torch.cat(outputs, dim=1).view(batch, heads, seq_len, dim)

    return attend


def fast_transformers(seq_len, head_dim, batch):
    """Idiap's CausalLinearAttention (elu + 1, C++ kernel), [B, T, H, d]."""
    from fast_transformers.attention import CausalLinearAttention
    from fast_transformers.masking import LengthMask, TriangularCausalMask

    layer = CausalLinearAttention(head_dim)
    causal = TriangularCausalMask(seq_len)
    lengths = LengthMask(torch.full((batch,), seq_len), max_len=seq_len)
    return lambda q, k, v: layer(q, k, v, causal, lengths, lengths)


def linear_attention_transformer(*_):
    """lucidrains' causal linear attention, [B, H, T, d].

    Its feature maps are its own: softmax over the query's channels and exp(k).
    Buckets of one token are the package's default and the only exactly causal
    choice: with larger ones a token does not see the bucket it is in.
    """
    from linear_attention_transformer.linear_attention_transformer import causal_linear_attn

    return lambda q, k, v: causal_linear_attn(q, k, v, bucket_size=1)


def fla_naive(seq_len, *_):
    """flash-linear-attention's plain PyTorch chunked form, normalised, [B, T, H, d].

    Its caller applies the feature map.
    """
    if seq_len % 64:
        raise ValueError("fla-naive needs a seq_len that is a multiple of 64")
    package = importlib.util.find_spec("fla")
    if package is None:
        raise ModuleNotFoundError("No module named 'fla'")
    # The package imports every Triton kernel; this file needs only torch and einops.
    path = Path(package.submodule_search_locations[0], "ops/linear_attn/naive.py")
    spec = importlib.util.spec_from_file_location("fla_naive", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)

    return lambda q, k, v: module.naive_chunk_linear_attn(
        feature_map(q), feature_map(k), v, normalize=True
    )


PEERS = {
    "torch-softmax": (torch_softmax, "bhtd"),
    "torch-linear": (torch_linear, "bhtd"),
    "fast-transformers": (fast_transformers, "bthd"),
    "linear-attention-transformer": (linear_attention_transformer, "bhtd"),
    "fla-naive": (fla_naive, "bthd"),
}


def make_inputs(layout, batch, heads, seq_len, head_dim):
    """Random leaf q, k, v and a random upstream gradient in a peer's layout."""
    sizes = {"b": batch, "h": heads, "t": seq_len, "d": head_dim}
    shape = [sizes[axis] for axis in layout]
    return [torch.randn(shape, requires_grad=True) for _ in range(3)], torch.randn(shape)


def available_peers():
    """Names of the peers that import and run forward and backward here."""
    names = []
    for name, (prepare, layout) in PEERS.items():
        try:
            inputs, upstream = make_inputs(layout, 1, 1, CHUNK, 8)
            torch.autograd.grad(prepare(CHUNK, 8, 1)(*inputs), inputs, upstream)
            names.append(name)
        except Exception as error:
            print(f"{name}: {one_line(error)}", file=sys.stderr)
    return names


# Measuring.


def clock(run):
    """Seconds that one call of run takes."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def repeat(run, seconds, slow_warm_up=False):
    """Times of the calls that fit in `seconds` after warm-ups, at least five.

    With slow_warm_up, a first call of over two seconds is warm-up enough and
    three calls suffice.
    """
    slow = clock(run) > 2.0 and slow_warm_up
    if not slow:
        run()
    times, start = [], time.perf_counter()
    while len(times) < (3 if slow else 5) or time.perf_counter() - start < seconds:
        times.append(clock(run))
    return times


def settle_memory():
    """Collect garbage and return the allocator's free pages to the system."""
    gc.collect()
    try:
        ctypes.CDLL(None).malloc_trim(0)
    except (AttributeError, OSError):
        pass  # not glibc


def resident_mb(field):
    """VmRSS or VmHWM of this process in MiB, None where the system has neither."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    lines = (line.split() for line in status.splitlines())
    return next((int(line[1]) / 1024 for line in lines if line[:1] == [field + ":"]), None)


def start_peak():
    """Reset the peak of resident memory and return its present size, None if it cannot."""
    settle_memory()
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return None
    return resident_mb("VmRSS")


def measure_attention(request):
    """Time one attention peer and the memory it needs."""
    name, direction = request["peer"], request["direction"]
    sizes = {key: request[key] for key in ("batch", "heads", "head_dim", "seq_len")}
    if name not in PEERS:
        raise ValueError(f"unknown peer {name!r}")
    if direction not in ("forward", "forward_backward"):
        raise ValueError(f"unknown direction {direction!r}")

    prepare, layout = PEERS[name]
    backward = direction == "forward_backward"

    def run():
        with torch.set_grad_enabled(backward):
            o = attend(*inputs)
        if backward:
            torch.autograd.grad(o, inputs, upstream)

    # What libraries set up on their first call is not the peer's memory.
    attend = prepare(CHUNK, sizes["head_dim"], 1)
    inputs, upstream = make_inputs(layout, 1, 1, CHUNK, sizes["head_dim"])
    run()

    attend = prepare(sizes["seq_len"], sizes["head_dim"], sizes["batch"])
    inputs = upstream = None
    before = start_peak()
    inputs, upstream = make_inputs(layout, **sizes)
    times = repeat(run, request["seconds"], slow_warm_up=True)
    peak = None if before is None else resident_mb("VmHWM") - before
    return {
        "op": "attention",
        "variant": name,
        "device": "pytorch-cpu",
        "direction": direction,
        **sizes,
        "ms_median": statistics.median(times) * 1e3,
        "ms_min": min(times) * 1e3,
        "peak_mb": peak,
    }


# The decoder.


def rotary_table(seq_len, head_dim):
    """Cosines and sines of the rotary angles, each [T, 1, d / 2]."""
    frequencies = 10000.0 ** -(torch.arange(0, head_dim, 2) / head_dim)
    angles = torch.outer(torch.arange(seq_len), frequencies)[:, None]
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    """Turn the two halves of the last axis of [B, T, H, d] by the rotary angles."""
    a, b = x.chunk(2, dim=-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), dim=-1)


class Attention(nn.Module):
    """Causal self-attention: softmax with rotary positions, or linear without."""

    def __init__(self, d_model, heads, softmax):
        super().__init__()
        self.heads = heads
        self.softmax = softmax
        # One product, split: a little faster than three products or a slice each.
        self.qkv = nn.Linear(d_model, 3 * d_model, bias=False)
        self.out = nn.Linear(d_model, d_model, bias=False)
        self.attend = torch_softmax() if softmax else torch_linear()

    def forward(self, x, rotary, cache=None):
        batch, seq_len, d_model = x.shape
        parts = self.qkv(x).chunk(3, dim=-1)
        q, k, v = (part.view(batch, seq_len, self.heads, -1) for part in parts)
        if self.softmax:
            q, k = rotate(q, *rotary), rotate(k, *rotary)
        q, k, v = (x.transpose(1, 2) for x in (q, k, v))
        if cache is None:
            o = self.attend(q, k, v)
        else:
            keys, values, position = cache
            keys[:, :, position], values[:, :, position] = k[:, :, 0], v[:, :, 0]
            seen = slice(position + 1)
            o = F.scaled_dot_product_attention(q, keys[:, :, seen], values[:, :, seen])
        return self.out(o.transpose(1, 2).reshape(batch, seq_len, d_model))


class FeedForward(nn.Module):
    """SwiGLU."""

    def __init__(self, d_model, d_hidden):
        super().__init__()
        self.gate = nn.Linear(d_model, d_hidden, bias=False)
        self.up = nn.Linear(d_model, d_hidden, bias=False)
        self.down = nn.Linear(d_hidden, d_model, bias=False)

    def forward(self, x):
        return self.down(F.silu(self.gate(x)) * self.up(x))


class Block(nn.Module):
    """Pre-norm attention and feed-forward."""

    def __init__(self, d_model, heads, d_hidden, softmax):
        super().__init__()
        self.norm_attention = nn.RMSNorm(d_model)
        self.attention = Attention(d_model, heads, softmax)
        self.norm_feed = nn.RMSNorm(d_model)
        self.feed = FeedForward(d_model, d_hidden)

    def forward(self, x, rotary, cache=None):
        x = x + self.attention(self.norm_attention(x), rotary, cache)
        return x + self.feed(self.norm_feed(x))


class Decoder(nn.Module):
    """Decoder whose embedding is also its read-out."""

    def __init__(self, request, softmax, positions):
        super().__init__()
        d_model, heads = request["d_model"], request["heads"]
        self.embedding = nn.Embedding(request["vocabulary"], d_model)
        nn.init.normal_(self.embedding.weight, std=0.02)
        self.blocks = nn.ModuleList(
            Block(d_model, heads, request["d_hidden"], softmax)
            for _ in range(request["layers"])
        )
        self.norm = nn.RMSNorm(d_model)
        self.rotary = rotary_table(positions, d_model // heads)

    def forward(self, tokens, position=0, caches=None):
        """Logits of tokens [B, T]; with caches, of one token at `position`."""
        rotary = [table[position : position + tokens.shape[1]] for table in self.rotary]
        x = self.embedding(tokens)
        for i, block in enumerate(self.blocks):
            x = block(x, rotary, caches and (*caches[i], position))
        return F.linear(self.norm(x), self.embedding.weight)


def measure_train_step(request):
    """Median rate of optimiser steps of a small decoder."""
    arm, batch, seq_len = request["arm"], request["batch"], request["seq_len"]
    if arm not in ("torch-softmax", "torch-linear", "torch-softmax-compiled"):
        raise ValueError(f"unknown arm {arm!r}")

    torch.manual_seed(0)
    model = Decoder(request, softmax=arm != "torch-linear", positions=seq_len)
    if arm.endswith("-compiled"):
        torch._dynamo.reset()
        model.compile()
    parameters = list(model.parameters())
    # The fused kernel beats the foreach form on CPU too.
    optimizer = torch.optim.AdamW(
        parameters, lr=1e-3, betas=(0.9, 0.95), weight_decay=0.1, fused=True
    )
    tokens = torch.randint(request["vocabulary"], (batch, seq_len + 1))
    read, target = tokens[:, :-1].contiguous(), tokens[:, 1:].flatten()

    def step():
        loss = F.cross_entropy(model(read).flatten(0, 1), target)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        return loss.item()

    times = repeat(step, request["seconds"])
    return {
        "op": "train_step",
        "arm": arm,
        "seq_len": seq_len,
        "tokens_per_s": batch * seq_len / statistics.median(times),
        "parameters": sum(p.numel() for p in parameters),
    }


def measure_generate(request):
    """Median time of one greedy token after `position` cached ones."""
    arm, position, count = request["arm"], request["position"], request["tokens"]
    if arm != "torch-softmax":
        raise ValueError(f"unknown arm {arm!r} for generate")

    warm_ups = 2
    torch.manual_seed(0)
    end = position + warm_ups + count
    model = Decoder(request, softmax=True, positions=end)
    shape = (1, request["heads"], end, request["d_model"] // request["heads"])
    caches = [(torch.randn(shape), torch.randn(shape)) for _ in range(request["layers"])]
    token = torch.zeros(1, 1, dtype=torch.long)
    positions = itertools.count(position)

    def step():
        nonlocal token
        token = model(token, next(positions), caches)[:, -1:].argmax(dim=-1)
        return token.item()

    with torch.inference_mode():
        times = [clock(step) for _ in range(warm_ups + count)][warm_ups:]
    return {
        "op": "generate",
        "arm": arm,
        "position": position,
        "ms_per_token": statistics.median(times) * 1e3,
    }


# Requests.


class Request(dict):
    """A request whose absent fields are named in the error."""

    def __missing__(self, key):
        raise ValueError(f"the request has no {key!r}")


def hello(_):
    """Say what runs here."""
    return {
        "op": "hello",
        "torch": torch.__version__,
        "threads": torch.get_num_threads(),
        "peers": available_peers(),
    }


OPERATIONS = {
    "hello": hello,
    "attention": measure_attention,
    "train_step": measure_train_step,
    "generate": measure_generate,
}


def one_line(error):
    """The kind and first line of an error."""
    message = str(error).strip().splitlines()
    return f"{type(error).__name__}: {message[0]}" if message else type(error).__name__


def answer(line):
    """The reply to one request line."""
    try:
        request = json.loads(line, object_hook=Request)
        if not isinstance(request, Request) or request["op"] not in OPERATIONS:
            raise ValueError(f"unknown request {line.strip()}")
        return OPERATIONS[request["op"]](request)
    except Exception as error:
        return {"error": one_line(error)}


def serve():
    """Answer the requests on stdin."""
    # Libraries and compilers may print: only replies keep the real stdout.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        print(json.dumps(answer(line)), file=replies, flush=True)


# Checking.


def reference(name, q, k, v):
    """Quadratic attention [B, H, T, d] with the peer's feature maps."""
    if name == "torch-softmax":
        future = torch.ones(q.shape[-2], q.shape[-2], dtype=torch.bool).triu_(1)
        scores = q @ k.mT * q.shape[-1] ** -0.5
        return scores.masked_fill(future, float("-inf")).softmax(dim=-1) @ v
    if name == "linear-attention-transformer":
        q, k = q.softmax(dim=-1), k.exp()
    else:
        q, k = (torch.where(x > 0, x + 1, x.exp()) for x in (q, k))
    scores = (q @ k.mT).tril()
    return scores @ v / scores.sum(dim=-1, keepdim=True)


def check():
    """Print the largest relative error of each peer; 1 when any is above 1e-3."""
    torch.manual_seed(0)
    # The second length leaves a ragged last chunk.
    cases = [(name, seq_len) for name in PEERS for seq_len in (256, 200)]
    worst = 0.0
    for name, seq_len in cases:
        prepare, layout = PEERS[name]
        inputs, upstream = make_inputs(layout, 2, 3, seq_len, 32)
        try:
            o = prepare(seq_len, 32, 2)(*inputs)
            results = [o, *torch.autograd.grad(o, inputs, upstream)]
        except Exception as error:
            print(f"{name} at {seq_len}: does not run, {one_line(error)}")
            continue

        exact = [x.detach().double().requires_grad_() for x in inputs]
        swap = (lambda x: x.transpose(1, 2)) if layout == "bthd" else (lambda x: x)
        o = swap(reference(name, *map(swap, exact)))
        expected = [o, *torch.autograd.grad(o, exact, upstream.double())]
        errors = [
            ((x - y).abs().max() / y.abs().max()).item() for x, y in zip(results, expected)
        ]
        # A NaN must fail, and max() alone would pass over it.
        worst = max([worst, *(e if e == e else float("inf") for e in errors)])
        print(f"{name} at {seq_len}: output {errors[0]:.1e}, gradients {max(errors[1:]):.1e}")
    return int(worst > 1e-3)


if __name__ == "__main__":
    torch.set_num_threads(int(os.environ.get("PEER_THREADS") or os.cpu_count()))
    sys.exit(check() if "--check" in sys.argv[1:] else serve())
