"""What a backbone says of the images it takes: found through wrappers, and missed with a word."""

import copy
import warnings

import pytest
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from captum_fv.attr import PatchedCosineAttribution
from captum_fv.data import generated_pairs
from captum_fv.models import load_backbone
from captum_fv.siamese import SiameseCosine
from captum_fv.siamese.backbone import MayCarry, contract, hidden_contract
from tests.support.nets import SIZE, SmallNet, random_pair, small_siamese


@pytest.fixture(scope="module")
def one_process():
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


WRAPPERS = {
    "DataParallel": nn.DataParallel,
    "AveragedModel": AveragedModel,
    "torch.compile": lambda net: torch.compile(net, backend="eager"),
    "two of them": lambda net: nn.DataParallel(torch.compile(net, backend="eager")),
    "DDP": lambda net: DistributedDataParallel(net.requires_grad_()),
}


@pytest.mark.extended
@pytest.mark.parametrize("name", WRAPPERS)
def test_a_known_wrapper_is_looked_through(name, request):
    if name == "DDP":
        request.getfixturevalue("one_process")
    pair, plain = generated_pairs(4).tensors([0, 1]), SiameseCosine(load_backbone("demo"))
    wrapped = SiameseCosine(WRAPPERS[name](load_backbone("demo")).eval())
    torch.testing.assert_close(wrapped(*pair), plain(*pair))
    carried, expected = contract(wrapped.backbone), contract(plain.backbone)
    assert (carried.size, carried.threshold) == (expected.size, expected.threshold)
    with pytest.raises(ValueError, match="250x250, and DemoBackbone takes 112x112"):
        wrapped(*random_pair(2, size=(250, 250)))
    # An averaged model is a copy, head and all.
    cells = [PatchedCosineAttribution(model).attribute(pair)[0] for model in (wrapped, plain)]
    torch.testing.assert_close(*cells)


def test_the_wrapper_has_the_last_word():
    wrapped = nn.DataParallel(load_backbone("demo"))
    wrapped.mean, wrapped.std, wrapped.threshold = 0.4, 0.3, 0.2
    carried = contract(wrapped)
    assert (carried.mean, carried.std, carried.threshold, carried.size) == (
        0.4,
        0.3,
        0.2,
        (112,) * 2,
    )


class Halved(nn.Module):
    """Somebody's own wrapper."""

    def __init__(self, inner):
        super().__init__()
        self.inner = inner

    def forward(self, images):
        return self.inner(images)[:, ::2]


@pytest.mark.parametrize("wrap", [Halved, nn.Sequential, lambda net: Halved(nn.DataParallel(net))])
def test_a_contract_within_is_not_passed_over(wrap):
    pair, wrapped = generated_pairs(4).tensors([0, 1]), wrap(load_backbone("demo")).eval()
    says = r"part '[\w.]*(0|inner|module)' does, mean=0.5, std=0.5; write .*mean=0, std=1 if"
    with pytest.raises(ValueError, match=says):
        SiameseCosine(wrapped)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        scores = SiameseCosine(wrapped, mean=0.5, std=0.5)(*pair)
    embeddings = [wrapped((image - 0.5) / 0.5) for image in pair]
    torch.testing.assert_close(scores, nn.functional.cosine_similarity(*embeddings))
    with pytest.warns(UserWarning, match="the model within it takes 112x112"):
        SiameseCosine(wrapped, mean=0.5, std=0.5)(*random_pair(2, size=(111, 111)))


def test_a_layer_that_normalises_is_no_hidden_contract():
    layer = nn.Identity()
    layer.mean, layer.std = [0.5] * 3, [0.5] * 3  # as torchvision's Normalize has them
    assert hidden_contract(nn.Sequential(layer, small_siamese().backbone)) is None


class Normalising(SmallNet):
    """A network that normalises its images itself."""

    kind = "buffers"

    def __init__(self):
        super().__init__()
        for name, value in (("mean", 0.4), ("std", 0.3)):
            values = torch.full((3, 1, 1), value)
            if self.kind == "buffers":
                self.register_buffer(name, values)
            elif self.kind == "parameters":
                setattr(self, name, nn.Parameter(values))
            else:
                setattr(self, name, values)

    def forward(self, images):
        return super().forward((images - self.mean) / self.std)


@pytest.mark.filterwarnings("ignore:.*is a program or a copy", "ignore:.*called mean and std")
@pytest.mark.parametrize("kind", ["buffers", "parameters", "tensors"])
@pytest.mark.parametrize("wrap", [lambda net: net, nn.DataParallel, torch.jit.script])
def test_what_a_network_normalises_itself_is_not_normalised_twice(kind, wrap):
    if wrap is torch.jit.script:
        net = torch.jit.trace(_normalising(kind), torch.rand(2, 3, *SIZE))
    else:
        net = wrap(_normalising(kind)).eval()
    pair = random_pair()
    expected = nn.functional.cosine_similarity(*(net(image) for image in pair))
    siamese = SiameseCosine(net)
    torch.testing.assert_close(siamese(*pair), expected)
    assert siamese.mean is None


def _normalising(kind):
    torch.manual_seed(0)
    return type("Normalising", (Normalising,), {"kind": kind})().eval()


def test_plain_tensors_called_mean_and_std_are_spoken_of():
    with pytest.warns(UserWarning, match="tensors called mean and std, .* for its own use"):
        SiameseCosine(_normalising("tensors"))
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        SiameseCosine(_normalising("buffers"))


def test_nothing_registered_is_a_contract():
    net = small_siamese().backbone
    for name in MayCarry.__annotations__.keys() - {"features", "patched_cosine_head"}:
        net.register_buffer(name, torch.tensor(0.5))
    net.features = nn.BatchNorm1d(16)  # as insightface's iresnet has it
    del net.layers
    net = copy.deepcopy(net)
    carried = contract(net)
    assert carried.mean is carried.std is carried.size is carried.threshold is None
    scaled = nn.Identity()
    scaled.std = 0.02  # of its first weights
    assert contract(scaled) == MayCarry()


def traced(net):
    return torch.jit.trace(net, torch.rand(2, 3, 112, 112))


def exported(net):
    batch = ({0: torch.export.Dim("batch", min=2)},)
    return torch.export.export(net, (torch.rand(2, 3, 112, 112),), dynamic_shapes=batch)


COPIES = {"fx": torch.fx.symbolic_trace, "trace": traced, "export": exported}


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_that_lost_its_contract_is_spoken_of(name):
    pair, demo = generated_pairs(4).tensors([0, 1]), load_backbone("demo")
    copied = COPIES[name](demo)
    if name == "fx":
        copied.eval()  # its containers come anew, in training mode
    says = r"leaves the model's mean and std behind.*mean=0, std=1 if it normalises photos itself"
    siamese = SiameseCosine(copied)
    with pytest.warns(UserWarning, match=says):
        siamese(*pair)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        siamese(*pair)  # once
        SiameseCosine(copied)(*(image * 2 - 1 for image in pair))  # normalised by the user
        SiameseCosine(copied, mean=0, std=1)(*pair)
        right = SiameseCosine(copied, mean=0.5, std=0.5)(*pair)
    torch.testing.assert_close(right, SiameseCosine(demo)(*pair))


def pooling(**carried):
    """A network that takes any size."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(2), nn.Flatten()).eval()
    vars(net).update(carried)
    return net


@pytest.mark.parametrize("net", [pooling, lambda: traced(pooling())])
def test_photos_of_an_unusual_size_are_spoken_of_where_none_is_known(net):
    siamese, photos = SiameseCosine(net(), mean=0.5, std=0.5), random_pair(1, size=(250, 250))
    with pytest.warns(UserWarning, match=r"are 250x250, .*112x112.*captum-fv align.*\(250, 250\)"):
        siamese(*photos)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        siamese(*photos)  # once
        for size in ((20, 18), (112, 112), (112, 96), (160, 160)):
            SiameseCosine(net(), mean=0.5, std=0.5)(*random_pair(1, size=size))
        siamese = SiameseCosine(net(), mean=0.5, std=0.5)
        siamese.backbone.size = (250, 250)
        siamese(*photos)
