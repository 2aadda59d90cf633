"""Two processes, each with half of the batch, must do what one does with all of it."""

import os
import socket

import pytest
import torch
import torch.multiprocessing as mp
from torch import distributed

from tests.helpers.toys import ToySource, gradients, make_trainer, weights

CONFIGS = {
    "c2lr": {"loss": "c2lr", "batch_size": 12, "n_steps": 4, "phase_split": 0.5},
    "cached": {"loss": "mi_mix", "batch_size": 12, "n_steps": 3, "budget": 900},
    "supcon": {"loss": "supcon", "batch_size": 12, "n_steps": 2},
}


def run(name, seed=0, folder=None):
    """Return gradients of the first step, the losses of all and the weights after the last."""
    config = CONFIGS[name] | {"ema_decay": 0.5, "eval_every": 2}
    config["checkpoint_every"] = 2 if folder else None
    trainer = make_trainer(folder, seed=seed, validation_source=ToySource(seed=4), **config)
    # In float64: what remains is not rounding.
    trainer.backbone.model.double()
    trainer.head.double()
    trainer._kept["average"] = [tensor.double() for tensor in trainer._kept["average"]]
    _, first = gradients(trainer, 0)
    trainer._optimizer.zero_grad()
    trainer.train()
    return {
        "gradients": first,
        "losses": [row["loss"] for row in trainer.history],
        "validation": [row["validation_loss"] for row in trainer.validations],
        "weights": weights(trainer),
    }


def work(rank, folder, port):
    os.environ |= dict.fromkeys(("RANK", "LOCAL_RANK"), str(rank)) | {"OMP_NUM_THREADS": "1"}
    os.environ |= dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), "2")
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    # What torchrun sets is enough: the trainer joins the others by itself. The second process
    # starts elsewhere, and must be given the weights of the first.
    results = {name: run(name, seed=rank, folder=folder / name) for name in CONFIGS}
    torch.save(results, folder / f"{rank}.pt")
    assert distributed.get_world_size() == 2
    try:
        make_trainer(batch_size=5)
    except ValueError as error:
        (folder / f"{rank}.txt").write_text(str(error))
    distributed.barrier()
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    folder = tmp_path_factory.mktemp("processes")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    mp.spawn(work, args=(folder, port), nprocs=2)
    return folder, [torch.load(folder / f"{rank}.pt") for rank in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("name", CONFIGS)
def test_two_processes_do_what_one_does(results, name):
    alone = run(name)
    for process in results[1]:
        found = process[name]
        for a, b in zip(found["gradients"], alone["gradients"], strict=True):
            torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-11)
        assert found["losses"] == pytest.approx(alone["losses"], rel=1e-9)
        assert found["validation"] == pytest.approx(alone["validation"], rel=1e-6)
        for key, tensor in alone["weights"].items():
            torch.testing.assert_close(found["weights"][key], tensor, rtol=1e-6, atol=1e-9)


@pytest.mark.slow
def test_processes_end_with_the_same_weights(results):
    for name in CONFIGS:
        one, two = (process[name]["weights"] for process in results[1])
        assert all(torch.equal(one[key], two[key]) for key in one)


@pytest.mark.slow
def test_only_the_first_process_writes_and_indivisible_batches_are_errors(results):
    folder, _ = results
    names = sorted(path.name for path in (folder / "c2lr").iterdir())
    assert names == ["best", "checkpoints", "log.csv", "training.json", "validation.csv"]
    assert len((folder / "c2lr" / "log.csv").read_text().splitlines()) == 5
    for rank in range(2):
        message = (folder / f"{rank}.txt").read_text()
        assert message == "batch_size=5 cannot be divided by 2 processes."
