"""Stand-ins for the packages of VGGT's and Depth Anything 3's authors, of known geometry.

They have the names, shapes and conventions that the workers rely on, and one scene: a wall four
units away, seen by cameras that stand side by side, each turned about its own axis.
"""

from __future__ import annotations

import sys
from pathlib import Path

VGGT = """
import torch
from torch import nn
from wall import wall

class Aggregator(nn.Module):
    def forward(self, images):
        n, _, h, w = images.shape
        if images.std() == 0:
            raise RuntimeError("a grey wall")
        grid = torch.arange(n * (h // 14) * (w // 14)).float().view(1, n, -1, 1)
        return [None, torch.cat([torch.full((1, n, 5, 1), -1e3), grid], dim=2)], 5

class VGGT(nn.Module):
    def __init__(self, img_size=518, enable_point=True, enable_track=True):
        super().__init__()
        assert not enable_point and not enable_track
        self.aggregator, self.bias = Aggregator(), nn.Parameter(torch.zeros(1))

    def forward(self, images):
        print("what a package prints")
        self.aggregator(images)
        n, _, h, w = images.shape
        depth, pose, _ = wall(n, h, w)
        return {
            "depth": depth[None, ..., None], "depth_conf": 1 + depth[None], "pose_enc": pose[None]
        }
"""
POSE_ENC = """
from wall import intrinsics

def pose_encoding_to_extri_intri(pose, size):
    return pose[..., :3, :], intrinsics(*size).expand(1, pose.shape[1], 3, 3)
"""
WALL = '''
"""Depth, world-to-camera, and rays (direction first) of n views."""
import math, torch

def intrinsics(h, w):
    return torch.tensor([[w * 0.8, 0, w / 2], [0, h * 0.9, h / 2], [0, 0, 1]])

def wall(n, h, w, rows=8, columns=8):
    depths, poses, rays = [], [], []
    for i in range(n):
        a = 0.1 * i
        c, s = math.cos(a), math.sin(a)
        turn = torch.tensor([[c, 0, s], [0, 1, 0], [-s, 0, c]])
        centre = torch.tensor([0.5 * i, 0.0, 0.0])
        pose = torch.eye(4)
        pose[:3, :3], pose[:3, 3] = turn.T, -turn.T @ centre
        poses.append(pose)
        depths.append(4 / directions(turn, h, w, h, w)[..., 2])
        ray = directions(turn, h, w, rows, columns)
        rays.append(torch.cat([ray, centre.expand(rows, columns, 3)], dim=-1))
    return torch.stack(depths), torch.stack(poses), torch.stack(rays)

def directions(turn, h, w, rows, columns):
    down = (torch.arange(rows) + 0.5) * h / rows
    across = (torch.arange(columns) + 0.5) * w / columns
    v, u = torch.meshgrid(down, across, indexing="ij")
    pixels = torch.stack([u, v, torch.ones_like(u)], dim=-1)
    return pixels @ (turn @ intrinsics(h, w).inverse()).T
'''
DA3 = """
import torch
from addict import Dict
from torch import nn
from wall import intrinsics, wall

class Vit(nn.Module):
    embed_dim = 2

class Backbone(nn.Module):
    def __init__(self):
        super().__init__()
        self.pretrained = Vit()
    def forward(self, images):
        _, n, _, h, w = images.shape
        tokens = torch.arange(n * (h // 14) * (w // 14)).float().view(1, n, -1, 1)
        both = torch.cat([torch.full((*tokens.shape[:3], 2), -1e3), tokens, -tokens], dim=-1)
        return ((both, both[:, :, 0]),), []

class Head(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.kind = kind
    def forward(self, images):
        _, n, _, h, w = images.shape
        depth, _, rays = wall(n, h, w)
        if self.kind == "metric":
            sky = torch.zeros(1, n, h, w)
            sky[..., : h // 2, :] = 1
            return Dict(sky=sky)
        if self.kind == "astray":  # the last view's rays look elsewhere
            rays[-1, ..., :3] = rays[-1, ..., [2, 1, 0]]
        depth, rays = depth[None], rays[None]
        return Dict(depth=depth, depth_conf=1 + depth, ray=rays, ray_conf=rays[..., 0])

class Net(nn.Module):
    def __init__(self, kind):
        super().__init__()
        self.backbone, self.head, self.bias = Backbone(), Head(kind), nn.Parameter(torch.zeros(1))
        self.cam_dec = None if kind == "mono" else nn.Identity()
    def forward(self, images, export_feat_layers):
        _, n, _, h, w = images.shape
        self.backbone(images)
        out = self.head(images)
        del out.ray, out.ray_conf
        out.extrinsics = wall(n, h, w)[1][None, :, :3]
        out.intrinsics = intrinsics(h, w).expand(1, n, 3, 3)
        return out

class Nested(nn.Module):
    def __init__(self):
        super().__init__()
        self.da3, self.da3_metric = Net("any"), Net("any")
        self.da3_metric.head = Head("metric")
    def forward(self, images, export_feat_layers):
        out = self.da3(images, export_feat_layers)
        self.da3_metric.head(images)
        out.depth, out.scale_factor, out.is_metric = 3 * out.depth, 3.0, 1
        out.extrinsics[..., 3] *= 3
        return out

def load_config(name):
    return name

def create_object(name):
    return Nested() if name == "nested" else Net(name)
"""
FILES = {
    "wall.py": WALL,
    "vggt/models/vggt.py": VGGT,
    "vggt/utils/pose_enc.py": POSE_ENC,
    "vggt-0.0.1.dist-info/METADATA": "Metadata-Version: 2.1\nName: vggt\nVersion: 0.0.1\n",
    "depth_anything_3/cfg.py": DA3,
    "depth_anything_3/registry.py": (
        'MODEL_REGISTRY = {"any": "any", "mono": "mono", "astray": "astray", "nested": "nested"}\n'
    ),
    "depth_anything_3-0.1.1.dist-info/METADATA": (
        "Metadata-Version: 2.1\nName: depth-anything-3\nVersion: 0.1.1\n"
    ),
    "addict.py": (
        "class Dict(dict):\n"
        "    __getattr__, __setattr__, __delattr__ = dict.__getitem__, dict.__setitem__,"
        " dict.__delitem__\n"
    ),
    "cv2.py": (
        "import numpy as np\nfrom PIL import Image\nINTER_CUBIC = INTER_AREA = 0\n"
        "def resize(image, size, interpolation):\n"
        "    return np.asarray(Image.fromarray(image).resize(size))\n"
    ),
}


def make_environment(folder: Path) -> Path:
    """A Python that finds these packages beside ours: what `python` of a teacher names."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    python = folder / "python"
    python.write_text(f'#!/bin/sh\nPYTHONPATH={folder} exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    return python
