"""Codebooks: what is looked up, which gradients come back, and how codes learn, die and are revived."""

import math

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans

from avae_lib import components
from avae_lib.nn.vector_quantization import Codebook, PointMass, rotate_onto


def feature_map(seed: int = 0, batch: int = 3, dim: int = 4, height: int = 2, width: int = 5) -> torch.Tensor:
    return torch.randn(batch, dim, height, width, generator=torch.Generator().manual_seed(seed))


def codebook(codes: int = 6, dim: int = 4, spread: float = 1.0, **options) -> Codebook:
    torch.manual_seed(1)
    book = Codebook(codes, dim, **options)
    book.place(spread * torch.randn(codes, dim))
    return book


def move_far_away(book: Codebook, code: int) -> None:
    """Put one code where no vector comes near it."""
    book.place(torch.full_like(book.vectors, 1000.0), torch.arange(len(book.vectors)) == code)


def nearest(z: np.ndarray, codes: np.ndarray) -> np.ndarray:
    """Indices by a loop over positions, in float64."""
    return np.array([np.argmin(((codes - vector) ** 2).sum(axis=1)) for vector in z])


@pytest.fixture(params=["straight_through", "rotation"])
def estimator(request):
    return request.param


class TestLookUp:
    def test_every_position_gets_its_nearest_code(self, estimator):
        book, z = codebook(estimator=estimator).eval(), feature_map()
        quantized = book(z)
        flat = z.movedim(1, -1).reshape(-1, 4).double().numpy()
        expected = nearest(flat, book.vectors.double().numpy()).reshape(3, 2, 5)
        assert (quantized.codes.numpy() == expected).all()
        torch.testing.assert_close(quantized.vectors, book.values(quantized.codes))
        assert book.values(quantized.codes)[2, :, 1, 3].tolist() == book.vectors[expected[2, 1, 3]].tolist()

    def test_losses_are_squared_distances_summed_over_an_image(self, estimator):
        book, z = codebook(estimator=estimator).eval(), feature_map()
        quantized = book(z)
        distance = (z - book.values(quantized.codes)).double().square().flatten(start_dim=1).sum(dim=1).mean()
        assert quantized.commitment_loss.item() == pytest.approx(distance.item(), rel=1e-5)
        assert quantized.codebook_loss.item() == pytest.approx(distance.item(), rel=1e-5)

    def test_counts_are_those_of_the_codes(self):
        counts = codebook().counts(torch.tensor([[[0, 5], [5, 2]]]))
        assert counts.tolist() == [1, 0, 1, 0, 0, 2] and counts.dtype == torch.int64

    def test_half_precision_around_it_changes_no_code(self, estimator):
        book, z = codebook(estimator=estimator).eval(), feature_map()
        with torch.autocast("cpu", torch.bfloat16):
            inside = book(z)
        assert torch.equal(inside.codes, book(z).codes) and inside.vectors.dtype == torch.float32

    def test_a_student_s_function_is_called(self):
        def everything_is_the_last_code(z, codebook):
            indices = torch.full((len(z),), len(codebook) - 1)
            return codebook[indices], indices, z.sum() * 0, z.sum() * 0

        with components.using("vector_quantize", everything_is_the_last_code):
            assert (codebook().eval()(feature_map()).codes == 5).all()


class TestGradients:
    def test_straight_through_is_the_decoders_gradient_at_the_code(self):
        """Finite differences of the piece behind the quantisation, which alone is differentiable."""
        book, z = codebook(update="loss").double(), feature_map().double().requires_grad_()
        target = feature_map(seed=9).double()
        quantized = book(z)
        (quantized.vectors - target).pow(4).sum().backward()
        code, step = book.values(quantized.codes).detach(), 1e-5
        difference = torch.zeros_like(code)
        for index in np.ndindex(*code.shape):
            for sign in (1, -1):
                moved = code.clone()
                moved[index] += sign * step
                difference[index] += sign * (moved - target).pow(4).sum() / (2 * step)
        torch.testing.assert_close(z.grad, difference, rtol=1e-6, atol=1e-6)
        assert book.learned.grad is None

    def test_commitment_moves_the_vectors_alone(self, estimator):
        book, z = codebook(update="loss", estimator=estimator), feature_map().requires_grad_()
        quantized = book(z)
        quantized.commitment_loss.backward()
        expected = 2 * (z - book.values(quantized.codes)).detach() / len(z)
        torch.testing.assert_close(z.grad, expected)
        assert book.learned.grad is None

    def test_codebook_loss_moves_the_codes_alone(self, estimator):
        book, z = codebook(update="loss", estimator=estimator), feature_map().requires_grad_()
        quantized = book(z)
        quantized.codebook_loss.backward()
        flat, indices = z.detach().movedim(1, -1).reshape(-1, 4), quantized.codes.flatten()
        expected = torch.zeros_like(book.vectors)
        for vector, index in zip(flat, indices, strict=True):
            expected[index] += 2 * (book.vectors.detach()[index] - vector) / len(z)
        torch.testing.assert_close(book.learned.grad, expected)
        assert z.grad is None


class TestRotationTrick:
    @pytest.fixture
    def pairs(self):
        generator = torch.Generator().manual_seed(0)
        z, codes, gradient = (torch.randn(40, 5, generator=generator, dtype=torch.float64) for _ in range(3))
        return z.requires_grad_(), codes, gradient

    def test_the_value_is_the_code(self, pairs):
        z, codes, _ = pairs
        torch.testing.assert_close(rotate_onto(z, codes).detach(), codes, rtol=1e-12, atol=1e-12)

    def test_gradients_are_turned_back_by_the_rotation_and_stretched(self, pairs):
        """The rotation of the plane of the two vectors by their angle, built from an orthonormal basis."""
        z, codes, gradient = pairs
        rotate_onto(z, codes).backward(gradient)
        for vector, code, upstream, got in zip(z.detach(), codes, gradient, z.grad, strict=True):
            ratio = (code.norm() / vector.norm()).item()
            expected = ratio * (_rotation(vector.numpy(), code.numpy()).T @ upstream.numpy())
            np.testing.assert_allclose(got.numpy(), expected, rtol=1e-9, atol=1e-12)

    def test_angle_between_gradient_and_vector_stays(self, pairs):
        z, codes, gradient = pairs
        rotate_onto(z, codes).backward(gradient)
        before = torch.cosine_similarity(gradient, codes, dim=1)
        torch.testing.assert_close(torch.cosine_similarity(z.grad, z.detach(), dim=1), before)

    def test_it_is_the_derivative_of_a_fixed_linear_map(self, pairs):
        """Central differences of z ↦ λ R z, with λ and R those of the first vectors."""
        z, codes, gradient = pairs
        rotate_onto(z, codes).backward(gradient)
        vector, code = z.detach()[0].numpy(), codes[0].numpy()
        fixed = np.linalg.norm(code) / np.linalg.norm(vector) * _rotation(vector, code)
        for axis in np.eye(5):
            slope = gradient[0].numpy() @ (fixed @ (vector + 1e-4 * axis) - fixed @ (vector - 1e-4 * axis)) / 2e-4
            assert slope == pytest.approx(z.grad[0].numpy() @ axis, rel=1e-6, abs=1e-9)

    @pytest.mark.parametrize(
        ("vector", "code"), [((0.0, 0.0), (1.0, 2.0)), ((1.0, 2.0), (0.0, 0.0)), ((1.0, 2.0), (-2.0, -4.0))]
    )
    def test_where_no_rotation_is_defined_gradients_go_straight_through(self, vector, code):
        z = torch.tensor([vector], requires_grad=True)
        quantised = rotate_onto(z, torch.tensor([code]))
        quantised.backward(torch.tensor([[0.5, -3.0]]))
        assert quantised.tolist() == [list(code)] and z.grad.tolist() == [[0.5, -3.0]]

    def test_a_codebook_can_use_it(self):
        book, z = codebook(estimator="rotation").eval(), feature_map().requires_grad_()
        gradient = feature_map(seed=4)
        quantized = book(z)
        quantized.vectors.backward(gradient)
        vector, code, upstream = z.detach()[1, :, 0, 2], quantized.vectors.detach()[1, :, 0, 2], gradient[1, :, 0, 2]
        turned = (code.norm() / vector.norm()).item() * (_rotation(vector.numpy(), code.numpy()).T @ upstream.numpy())
        np.testing.assert_allclose(z.grad[1, :, 0, 2].numpy(), turned, rtol=1e-4, atol=1e-5)


def _rotation(vector: np.ndarray, code: np.ndarray) -> np.ndarray:
    """The rotation that takes the direction of ``vector`` to that of ``code`` and leaves their complement alone."""
    first = vector / np.linalg.norm(vector)
    second = code - (code @ first) * first
    second = second / np.linalg.norm(second)
    cosine = code @ first / np.linalg.norm(code)
    sine = math.sqrt(max(0.0, 1 - cosine**2))
    plane = np.stack([first, second])
    in_plane = np.array([[cosine, -sine], [sine, cosine]])
    return np.eye(len(vector)) + plane.T @ (in_plane - np.eye(2)) @ plane


class TestMovingAverage:
    def test_without_memory_it_is_lloyds_algorithm(self):
        book, z = codebook(decay=0.0), feature_map(batch=30)
        start, flat = book.vectors.double().numpy().copy(), z.movedim(1, -1).reshape(-1, 4).double().numpy()
        for _ in range(60):
            book(z)
        expected = KMeans(6, init=start, n_init=1, max_iter=60, tol=0, algorithm="lloyd").fit(flat).cluster_centers_
        np.testing.assert_allclose(book.vectors.numpy(), expected, atol=1e-4)

    def test_codes_end_at_the_means_of_the_vectors_they_replace(self):
        book, z = codebook(decay=0.9), feature_map(batch=30)
        for _ in range(400):
            quantized = book(z)
        flat, indices = z.movedim(1, -1).reshape(-1, 4), quantized.codes.flatten()
        for index in range(6):
            torch.testing.assert_close(book.vectors[index], flat[indices == index].mean(dim=0), rtol=1e-3, atol=1e-3)

    def test_averages_are_those_of_the_paper_from_batch_to_batch(self):
        book, decay = codebook(decay=0.8), 0.8
        codes = book.vectors.double().numpy().copy()
        counts = np.full(6, 30 / 6)  # placed codes count as if they had had an even share of the 30 vectors
        sums = counts[:, None] * codes
        for seed in range(5):
            z = feature_map(seed=seed)
            flat = z.movedim(1, -1).reshape(-1, 4).double().numpy()
            indices = nearest(flat, codes)
            for code in range(6):
                counts[code] = decay * counts[code] + (1 - decay) * (indices == code).sum()
                sums[code] = decay * sums[code] + (1 - decay) * flat[indices == code].sum(axis=0)
                codes[code] = sums[code] / counts[code]
            book(z)
            np.testing.assert_allclose(book.vectors.numpy(), codes, rtol=1e-5, atol=1e-6)

    def test_a_code_that_is_never_used_stays_where_it_is(self):
        book = codebook(decay=0.1)
        move_far_away(book, 2)
        for seed in range(60):
            book(feature_map(seed=seed))
        torch.testing.assert_close(book.vectors[2], torch.full((4,), 1000.0))
        assert book.vectors.isfinite().all()

    def test_nothing_moves_in_evaluation(self):
        book = codebook().eval()
        before = {name: tensor.clone() for name, tensor in book.state_dict().items()}
        book(feature_map())
        assert all(torch.equal(before[name], tensor) for name, tensor in book.state_dict().items())

    def test_a_batch_is_quantised_by_the_codes_from_before_it(self):
        book, z = codebook(decay=0.0), feature_map()
        before = book.vectors.clone()
        quantized = book(z)
        torch.testing.assert_close(quantized.vectors, before[quantized.codes].movedim(-1, 1))

    def test_codes_that_learn_by_their_loss_are_weights_and_others_are_not(self):
        assert [name for name, _ in Codebook(3, 2, update="loss").named_parameters()] == ["learned"]
        assert not list(Codebook(3, 2, update="moving_average").parameters())


class TestDeadCodes:
    @pytest.fixture(params=["moving_average", "loss"])
    def update(self, request):
        return request.param

    def test_dead_codes_come_back_as_vectors_of_the_last_batch(self, update):
        book, z = codebook(update=update, decay=0.5, revive_below=0.1), feature_map()
        move_far_away(book, 4)
        for _ in range(4):  # after three its usage is still 1/8 of an even share
            book(z)
        kept = book.vectors.detach().clone()
        book.revive()
        assert _is_among(book.vectors.detach(), z)[4]
        is_dead = book.usage == 1.0
        assert is_dead[4] and torch.equal(book.vectors[~is_dead], kept[~is_dead])
        assert (book(z).codes == 4).any()

    def test_revived_codes_start_with_an_even_share_at_their_new_place(self):
        book = codebook(decay=0.5, revive_below=0.1)
        move_far_away(book, 4)
        for _ in range(4):
            book(feature_map())
        book.revive()
        assert book.usage[4] == 1.0 and torch.equal(book.sums[4], book.vectors[4])

    def test_before_the_first_batch_nothing_happens(self, update):
        book = codebook(update=update)
        before = book.vectors.detach().clone()
        book.revive()
        assert torch.equal(book.vectors, before)

    def test_after_the_first_batch_nearly_all_codes_are_vectors_of_it(self, update):
        torch.manual_seed(0)
        book, z = Codebook(16, 4, update=update), 5 + feature_map(batch=30)
        book(z)
        book.revive()
        assert _is_among(book.vectors.detach(), z).sum() >= 15

    def test_none_is_revived_at_zero(self, update):
        book = codebook(update=update, revive_below=0.0)
        move_far_away(book, 4)
        for _ in range(3):
            book(feature_map())
            book.revive()
        torch.testing.assert_close(book.vectors[4].detach(), torch.full((4,), 1000.0))

    def test_more_codes_than_vectors_can_be_revived(self):
        book = Codebook(50, 4)
        book(feature_map(batch=1))
        book.revive()
        assert book.vectors.isfinite().all()

    def test_of_clustered_vectors_a_dying_codebook_finds_one_cluster_and_a_revived_one_finds_all(self):
        centres = 10 * torch.eye(8)
        used = {}
        for revive_below in (0.0, 0.1):
            torch.manual_seed(0)
            book = Codebook(8, 8, decay=0.8, revive_below=revive_below)
            for _ in range(200):
                book.revive()
                vectors = centres[torch.randint(8, (64,))] + 0.1 * torch.randn(64, 8)
                quantized = book(vectors[:, :, None, None])
            used[revive_below] = int((book.counts(quantized.codes) > 0).sum())
        assert used[0.0] < 8 and used[0.1] == 8


def _is_among(codes: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Whether each code is exactly a vector of the feature map."""
    flat = z.movedim(1, -1).reshape(-1, z.shape[1])
    return (codes[:, None] == flat).all(dim=2).any(dim=1)


def test_processes_that_train_together_revive_with_the_vectors_of_the_first(monkeypatch):
    """What the first process hands to the others is written down here and read out again."""
    sent = []
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.broadcast", lambda tensor, src: sent.append((tensor.clone(), src)))
    first, second = (codebook(update="loss", revive_below=2.0) for _ in range(2))
    for book, seed in ((first, 0), (second, 1)):
        book(feature_map(seed=seed))
        book.usage.fill_(0.5)  # training averages it over the processes
    first.revive()
    assert [src for _, src in sent] == [0]
    monkeypatch.setattr("torch.distributed.broadcast", lambda tensor, src: tensor.copy_(sent.pop(0)[0]))
    second.revive()
    assert torch.equal(first.vectors, second.vectors) and not sent


def test_running_statistics_are_buffers_and_tell_the_codes():
    for update, names in (("moving_average", ("usage", "sums")), ("loss", ("usage",))):
        book = codebook(update=update)
        assert book.running_statistics == names
        assert all(name in dict(book.named_buffers()) for name in names)


class TestPointMass:
    def test_all_probability_is_on_the_codes(self):
        mean = feature_map()
        posterior = PointMass(torch.zeros(3, 2, 5, dtype=torch.int64), mean)
        assert torch.equal(posterior.sample(temperature=0.3), mean)
        other = mean.clone()
        other[1, 0, 0, 0] += 1
        assert posterior.log_prob(other).tolist() == [0.0, -math.inf, 0.0]
