"""Processes that train one network together: one per GPU, on one or several machines."""

import os
from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from babyseg_py.errors import UsageError


@dataclass(frozen=True)
class Team:
    """The place of this process among those that train together.

    Parameters
    ----------
    rank : int
        Number of this process; number 0 validates, logs and saves.
    size : int
        Number of processes.
    device : str
        Where this process computes.
    """

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    @property
    def leads(self) -> bool:
        """Whether this process writes what all have done."""
        return self.rank == 0

    def share(self, network: nn.Module) -> nn.Module:
        """Wrap a network so that gradients are averaged over all processes."""
        return DistributedDataParallel(network) if self.size > 1 else network


def chosen_device(name: str) -> str:
    """Return ``cpu`` or ``cuda`` for a choice that may be ``auto``.

    Raises
    ------
    UsageError
        If a GPU is asked for and there is none.
    """
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise UsageError("no CUDA device is available: use --device cpu or auto")
    return "cuda" if has_gpu and name in ("auto", "cuda") else "cpu"


def join_team(device: str) -> Team:
    """Find the other processes as ``torchrun`` tells of them; alone if it does not.

    Parameters
    ----------
    device : str
        ``cpu`` (processes talk through gloo) or ``cuda`` (through NCCL, one GPU each).

    Returns
    -------
    Team
        To be left with `leave_team`.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return Team(device=device)
    if device == "cuda":
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
        torch.cuda.set_device(device)
    torch.distributed.init_process_group("gloo" if device == "cpu" else "nccl")
    return Team(torch.distributed.get_rank(), torch.distributed.get_world_size(), device)


def leave_team(team: Team) -> None:
    """Part from the other processes."""
    if team.size > 1:
        torch.distributed.destroy_process_group()
