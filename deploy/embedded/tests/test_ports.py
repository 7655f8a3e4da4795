import socket

from embedded.ports import SERVICES, SPAN, Ports, taken


def test_a_stack_stays_within_its_hundred_ports() -> None:
    ports = Ports(7400).named().values()
    assert len(set(ports)) == len(ports)
    assert all(7400 <= port < 7400 + SPAN for port in ports)


def test_admin_ports_are_in_the_order_of_the_services() -> None:
    assert [Ports(7400).admin(service) for service in SERVICES] == [7420, 7421, 7422, 7423, 7424]


def test_a_port_that_somebody_listens_on_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert taken({"ours": port}) == {"ours": port}
    assert not taken({"ours": port})
