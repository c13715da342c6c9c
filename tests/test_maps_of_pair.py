"""Both maps of a pair by several methods, of which those of one sweep share it."""

import pytest
import torch
from captum.attr import NoiseTunnel

from captum_fv.attr import OcclusionPairAttribution, PixelDifference, SensitivityControl
from captum_fv.attr.pair import PairMethod, abilities
from captum_fv.benchmark.maps import maps_of_pair
from tests.support.nets import random_pair, small_siamese


def test_variants_share_a_sweep_and_all_come_in_the_order_asked_for(monkeypatch):
    siamese, pair = small_siamese(), random_pair()

    def xface(variant, stride=4):
        return OcclusionPairAttribution(siamese, variant, (3, 6), stride)

    methods = {"3": xface(3), "grad": SensitivityControl(siamese, 0.2), "1": xface(1)}
    methods |= {"finer": xface(1, stride=3)}
    wanted = {name: method.attribute(*pair) for name, method in methods.items()}
    sweeps = []
    sweep = OcclusionPairAttribution.attribute_variants

    def counted(self, *args, variants, **options):
        sweeps.append((self.patches.stride, tuple(variants)))
        return sweep(self, *args, variants=variants, **options)

    monkeypatch.setattr(OcclusionPairAttribution, "attribute_variants", counted)
    found = maps_of_pair(methods, pair)
    assert sweeps == [(4, (1, 3)), (3, (1,))]
    assert list(found) == list(methods)
    for name, maps in wanted.items():
        for one, other in zip(found[name], maps, strict=True):
            torch.testing.assert_close(one, other)


def test_a_method_derived_from_xface_keeps_what_it_adds():
    siamese, pair = small_siamese(), random_pair()

    class Turned(OcclusionPairAttribution):
        def attribute(self, *args, **kwargs):
            return tuple(-side for side in super().attribute(*args, **kwargs))

    plain = OcclusionPairAttribution(siamese, 3, (3, 6), 4)
    turned = {f"turned {v}": Turned(siamese, v, (3, 6), 4) for v in (2, 3)}
    found = maps_of_pair({"plain": plain} | turned, pair)
    torch.testing.assert_close(found["turned 3"][0], -found["plain"][0])
    torch.testing.assert_close(found["turned 2"][0], turned["turned 2"].attribute(*pair)[0])


def test_the_bar_is_passed_on(capsys):
    siamese, pair = small_siamese(), random_pair()
    methods = {"a": PixelDifference(siamese), "b": OcclusionPairAttribution(siamese, 2, (3,), 9)}
    maps_of_pair(methods, pair, show_progress=True)
    assert "image/s" in capsys.readouterr().err
    maps_of_pair(methods, pair)
    assert not capsys.readouterr().err


def test_a_method_that_gives_one_map_is_named():
    siamese, pair = small_siamese(), random_pair()

    class One(PixelDifference):
        def attribute(self, *args, **kwargs):
            return super().attribute(*args, **kwargs)[0]

    with pytest.raises(TypeError, match="one: its attribute gave a Tensor; want a map of A and"):
        maps_of_pair({"one": One(siamese)}, pair)


def test_what_a_method_can_do_is_what_it_says_of_itself():
    siamese = small_siamese()
    xface = OcclusionPairAttribution(siamese, 2, (3,), fill="noise", generator=torch.Generator())
    assert abilities(xface) is xface
    assert abilities(xface).generator is xface.generator
    # One that does not derive from PairMethod has the defaults, whatever it calls its own.
    tunnel = NoiseTunnel(xface)
    tunnel.cells = (2, 2)
    assert abilities(tunnel) is PairMethod
    assert not abilities(tunnel).options
    assert abilities(tunnel).cells is abilities(tunnel).generator is None
